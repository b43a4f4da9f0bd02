// Package kafka starts Apache Kafka 4.1.0 for tests, benchmarks and demonstrations: one KRaft node that is
// broker and controller, from jars that Maven fetches once.
//
//	tests/real/pom.xml --mvn--> tests/real/target/kafka-4.1.0-*/   (Jars)
//	                                  |
//	Options --> server.properties --> java kafka.tools.StorageTool format   (once a data directory)
//	                            \---> java kafka.Kafka                      (Start, Restart)
//	                                    127.0.0.1:<port>  ... Stop = SIGTERM, Kill = SIGKILL
//
// Port and data directory stay the same over Stop, Kill and Restart, so clients find the broker again. It
// knows nothing of the bridge. The Java (17 or newer) and Maven of the machine are used.
package kafka
