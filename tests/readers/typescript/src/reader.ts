// Prints a stream as JSON lines, from its first record to its end of the moment:
//
//	node dist/reader.js s2://basin/stream
//
// S2_ACCESS_TOKEN is the access token; S2_ACCOUNT_ENDPOINT and S2_BASIN_ENDPOINT are for servers other than s2.dev.

import { createHash } from "node:crypto";
import { S2, S2Environment } from "@s2-dev/streamstore";
import { Decoder, type Decoded } from "./format.js";

const [, basin, name] = /^s2:\/\/([^/]+)\/(.+)$/.exec(process.argv[2] ?? "") ?? [];
if (!basin || !name) {
	console.error("usage: node dist/reader.js s2://basin/stream");
	process.exit(2);
}

const s2 = new S2({ accessToken: "none", ...S2Environment.parse() });
const stream = s2.basin(basin).stream(name);
const decoder = new Decoder();
const tail = (await stream.checkTail()).tail.seqNum;
for (let next = 0; next < tail; ) {
	const session = await stream.readSession({ start: { from: { seqNum: next } }, stop: { limits: { count: tail - next }, waitSecs: 0 } }, { as: "bytes" });
	const from = next;
	for await (const r of session) {
		print(r.seqNum, decoder.push(r));
		next = r.seqNum + 1;
	}
	if (next === from) throw new Error(`nothing from sequence number ${next} on, though the stream ends at ${tail}`);
}
await stream.close();

function print(seq: number, d: Decoded): void {
	switch (d.kind) {
		case "record": {
			const r = d.record;
			console.log(JSON.stringify({
				seq,
				offset: String(r.offset), // as text, for readers that would round it
				leaderEpoch: r.leaderEpoch,
				timestamp: String(r.timestamp),
				timestampType: r.timestampType,
				key: bytes(r.key),
				headers: r.headers.map((h) => ({ name: bytes(h.name), value: bytes(h.value) })),
				value: bytes(r.value),
			}));
			break;
		}
		case "marker":
			console.log(JSON.stringify({ seq, marker: d.name, body: d.body }));
			break;
		case "foreign":
			console.log(JSON.stringify({ seq, foreign: d.why }));
			break;
	}
}

/** Base64; of what is long, length and SHA-256. */
function bytes(b: Uint8Array | null): unknown {
	if (b === null) return null;
	if (b.length <= 256) return { base64: Buffer.from(b).toString("base64") };
	return { length: b.length, sha256: createHash("sha256").update(b).digest("hex") };
}
