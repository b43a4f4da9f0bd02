// Package source is the Kafka side: it joins the consumer group, fetches, hands
// records to the owner of their partition, and commits what owners mark.
//
//	        kgo client
//	            |  PollFetches                    owners (handoff)
//	            v                                  ^  |
//	Run: poll, deliver ----- Fetched, Trouble -----+  |  Seek, Pause, Held
//	     apply what owners asked for  <---------------+  Mark
//	            |                                     |
//	callbacks: assigned -> start owners               |  Locate, Records, Range
//	           revoked  -> owners drain, commit       |  Overwrite, DeadLetter
//	           lost     -> owners stop                v
//	watch: ends, topic ids, open transactions      Kafka, asked by whoever waits
//
// One goroutine polls and never waits for a partition. Owners never move the
// client themselves: they note what they want, and the poll loop applies it
// between two polls, so that positions, pauses and rebalances cannot overtake
// each other. Commits are the client's own, on its timer, but for those that it
// would not make: they have a goroutine (saveUrgent), because committing waits
// while the group joins. Another one looks at the cluster every few seconds for
// what fetches do not tell (watch). What an owner asks of Kafka and waits for, it
// asks from a goroutine of its own.
//
// It must not know what S2 is, nor what a record looks like there: owners come
// from the Start function that it is given.
package source
