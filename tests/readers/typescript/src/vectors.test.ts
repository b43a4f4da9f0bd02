// Holds the decoder against the vectors in mapping/testdata: every record, and every stream with chunks.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Decoder, type KafkaRecord } from "./format.js";

type Bytes = string | { byte: string; times: number }[] | null;
interface S2 {
	headers: { name: Bytes; value: Bytes; times?: number }[];
	body: Bytes;
}
interface Kafka {
	offset: string;
	leader_epoch: number;
	timestamp: string;
	timestamp_type: "create_time" | "log_append_time" | "none";
	key: Bytes;
	headers: { name: Bytes; value: Bytes; times?: number }[];
	value: Bytes;
}

const dir = process.env.VECTORS ?? new URL("../../../../mapping/testdata/", import.meta.url).pathname;
const load = (file: string) => JSON.parse(readFileSync(`${dir}/${file}`, "utf8"));

function bytes(v: Bytes): Buffer | null {
	if (v === null) return null;
	if (typeof v === "string") return Buffer.from(v, "hex");
	return Buffer.concat(v.map((run) => Buffer.alloc(run.times, run.byte, "hex")));
}

const s2 = (v: S2) => ({
	headers: v.headers.flatMap((h) => Array(h.times ?? 1).fill([bytes(h.name)!, bytes(h.value)!] as const)),
	body: bytes(v.body)!,
});

function same(got: KafkaRecord, want: Kafka): void {
	const types = { create_time: "CreateTime", log_append_time: "LogAppendTime", none: "none" } as const;
	const buffer = (b: Uint8Array | null) => b && Buffer.from(b);
	assert.deepEqual(
		{ ...got, key: buffer(got.key), value: buffer(got.value), headers: got.headers.map((h) => [buffer(h.name), buffer(h.value)]) },
		{
			offset: BigInt(want.offset),
			leaderEpoch: want.leader_epoch,
			timestamp: BigInt(want.timestamp),
			timestampType: types[want.timestamp_type],
			key: bytes(want.key),
			headers: want.headers.map((h) => [bytes(h.name), bytes(h.value)]),
			value: bytes(want.value),
		},
	);
}

for (const v of load("records.json").records as { name: string; kafka: Kafka; s2: S2 }[]) {
	test(v.name, () => {
		const d = new Decoder().push(s2(v.s2));
		assert(d.kind === "record");
		same(d.record, v.kafka);
	});
}

for (const v of load("chunks.json").streams as { name: string; steps: { s2: S2; yields: Kafka | null; error: boolean }[] }[]) {
	test(v.name, () => {
		const decoder = new Decoder();
		for (const step of v.steps) {
			let record: KafkaRecord | undefined;
			try {
				const d = decoder.push(s2(step.s2));
				if (d.kind === "record") record = d.record;
			} catch (e) {
				assert(step.error, String(e));
			}
			// This reader is less strict than the vectors' "error": it takes what can be taken.
			if (step.yields) {
				assert(record);
				same(record, step.yields);
			} else if (!step.error) {
				assert.equal(record, undefined);
			}
		}
	});
}

for (const v of load("deviations.json").records as { name: string; s2: S2; entry: { kind: string } }[]) {
	test(`deviation: ${v.name}`, () => {
		const r = s2(v.s2);
		const push = () => new Decoder().push(r).kind;
		if (v.entry.kind === "unsupported") assert.throws(push, /version/);
		else if (r.headers[0]?.[0]?.toString() === "~") assert.equal(push(), "foreign");
		else assert.notEqual(push(), "record"); // commands and markers are not looked into
	});
}
