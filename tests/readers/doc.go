// Package readers tries readers that are not the bridge's own, in other languages, on streams as the bridge writes them.
//
//	records --mapping, sink--> s2-lite <--SDK of S2-- reader in TypeScript --JSON lines--+
//	   |                                                                                |
//	   +------------------------- every record, field by field <------------------------+
//
// The readers were written from docs/format.md alone and double as examples. The test has the build tag "real": it needs
// s2 (as tests/real does), Node.js 20 and npm with its registry.
package readers
