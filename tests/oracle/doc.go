// Package oracle judges what the bridge did, without the bridge: it compares what Kafka serves with what the S2
// streams hold, record by record.
//
//	producer --acks--> Ledger --Compare--> is Kafka itself right?
//	                                \
//	Kafka --ReadKafka (kgo, read_committed)--> Truth of Served partitions (offset + fingerprints)
//	                                                     \
//	S2 --s2read (the S2 SDK) or any iterator--> Stored --Decode--> Check --> Report
//	Kafka --ReadCommits--> Commit ------------------------------------^ CheckCommit
//
// The questions have the numbers of the project's hazard list: O1 no loss, O2 no duplicate and no disorder, O3 nothing
// foreign, O4 nothing aborted, O5 the same gaps as in Kafka, O6 whole chunk groups. Besides, the order of fences,
// open markers and data (a tenure begins with a fence and an open marker that names the right position).
//
// It knows no code of the bridge, and a test sees to that: the decoder here was written from docs/format.md alone, so
// that a misreading in the bridge's encoder cannot hide behind the same misreading in its reader. Records are kept as
// 48-byte fingerprints: a million of them are 48 MB.
package oracle
