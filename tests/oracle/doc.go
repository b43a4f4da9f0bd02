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
// What is asked, where, and what is planted so that the question itself is tried. "Here" is Check and CheckCommit, on streams at
// rest; sim is tests/sim, which looks at every append and commit the moment it happens, as Watch does of tests/network/bed on the
// real parts (tests/synctest, tests/network).
//
//	                                here           at every moment         planted
//	O1  nothing is lost or altered  Missing,       sim data, between       TestPlanted; mutants inflight-dropped, ...
//	                                Altered
//	O2  nothing twice, in order     Duplicates,    sim data                TestPlanted; blind-resend, inflight-disorder, ...
//	                                Reordered
//	O3  nothing else is there       Foreign        sim landed, fenced      TestPlanted, TestDecodeRefuses; fence-blindly, ...
//	O4  nothing aborted             Foreign        sim data (not served)   TestPlanted
//	O5  holes are Kafka's holes     Missing,       sim between, gapped     TestPlanted, TestPlantedInChunksAndGaps; gap-*, cut-*
//	                                Broken
//	O6  chunk groups are whole      Broken, Torn   sim chunk               TestPlantedInChunksAndGaps; chunks-continued
//	O7  no commit before the ack    CheckCommit    sim covered; Watch      TestPlantedCommits; tests/hazards
//	                                                                       TestCommitsAreWatched; commit-*
//	O8  one owner at a time         Broken         sim data (opener),      TestPlanted (no fence, no open), TestCommitsAreWatched;
//	                                (fence, open)  Watch (token)           no-fence-no-match
//	O9  S2 itself keeps its word                   tests/s2mem             tests/conformance TestPlantedViolationsAreFound,
//	                                               TestInvariants          TestPlantedServersAreFound
//	O10 what is acked stays         Missing        tests/s2mem, real:      the same; sim window roll-back: the machine notices
//	                                               kill -9 of the servers
//	O11 lag 0 in time, no leftovers CheckCommit    sim end; synctest       mutant control-uncommitted; goleak in every package
//	                                               caughtUp, clean
//	O12 metrics are the facts                      tests/losses            tests/losses TestMetricsThatAreNoFacts
//	                                               TestMetricsAreFacts
//	O13 every fault has hit                        windows of sim, kinds   a run in which one did not hit fails
//	                                               of synctest, network
//	O14 something happened at all   Records > 0    synctest: 9 of 10 runs  the same
//	                                (callers)      have a second owner
//
// Besides, the order of fences, open markers and data is asked for: a tenure begins with a fence and an open marker that names the
// right position. And S2's own timestamps: an index that the format says how to give.
//
// Why all that is expected to be enough for "exactly once": O1 to O6 speak of what is in the stream in the end, whatever any call
// returned. O7 and O8 are for what an end cannot show: a copy that was right by luck.
//
// It knows no code of the bridge, and a test sees to that: the decoder here was written from docs/format.md alone, so
// that a misreading in the bridge's encoder cannot hide behind the same misreading in its reader. Records are kept as
// 48-byte fingerprints: a million of them are 48 MB.
package oracle
