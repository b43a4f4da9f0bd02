// Turns the records of an S2 stream back into the Kafka records that they were, as docs/format.md says.
//
//	S2 records in order --> Decoder.push --> Kafka records, markers
//
// It knows nothing of S2 but that a record has headers and a body.

export interface KafkaRecord {
	offset: bigint;
	leaderEpoch: number; // -1: unknown
	timestamp: bigint; // ms; -1: none
	timestampType: "CreateTime" | "LogAppendTime" | "none";
	key: Uint8Array | null;
	headers: { name: Uint8Array; value: Uint8Array | null }[];
	value: Uint8Array | null;
}

export interface S2Record {
	headers: ReadonlyArray<readonly [Uint8Array, Uint8Array]>;
	body: Uint8Array;
}

export type Decoded =
	| { kind: "record"; record: KafkaRecord }
	| { kind: "marker"; name: string; body: string } // JSON; its numbers may pass 2^53
	| { kind: "nothing" } // a command, or a part of a record that is not complete
	| { kind: "foreign"; why: string }; // not written by a bridge: no Kafka data

interface Chunk {
	index: bigint;
	count: bigint;
	total: bigint;
	crc: number;
}

class Foreign extends Error {}

export class Decoder {
	// The record whose chunks are coming in, at most one.
	private open?: { record: KafkaRecord; chunk: Chunk; parts: Uint8Array[] };

	/** Takes the next record of the stream. Throws where a reader must not go on. */
	push(r: S2Record): Decoded {
		const open = this.open;
		this.open = undefined; // whatever comes drops it, unless it is its next chunk
		try {
			const [name, value] = r.headers[0] ?? [undefined, undefined];
			if (name === undefined) throw new Foreign("no header");
			if (name.length === 0 && r.headers.length === 1) return { kind: "nothing" };
			if (text(name) === "~!" && r.headers.length === 1) return { kind: "marker", name: text(value), body: text(r.body) };
			if (text(name) !== "~") throw new Foreign(`first header is ${JSON.stringify(text(name))}`);
			return this.data(r, value, open);
		} catch (e) {
			if (e instanceof Foreign) return { kind: "foreign", why: e.message };
			throw e;
		}
	}

	private data(r: S2Record, position: Uint8Array, open: Decoder["open"]): Decoded {
		const { record, isNull, chunk } = readPosition(position);
		if (isNull && (chunk || r.body.length > 0)) throw new Foreign("null value with a body, or in chunks");
		if (chunk && BigInt(r.body.length) > chunk.total - (chunk.index === 0n ? chunk.count - 1n : 0n)) throw new Foreign("chunk has more than its share");
		if (chunk && chunk.index > 0n) {
			if (r.headers.length > 1 || r.body.length === 0) throw new Foreign("a chunk behind the first with headers, or without a body");
			if (!open || record.offset !== open.record.offset || chunk.index !== open.chunk.index + 1n) return { kind: "nothing" };
			open.chunk = chunk;
			open.parts.push(r.body);
			this.open = open;
		} else {
			readHeaders(r, record);
			if (!chunk) {
				record.value = isNull ? null : r.body;
				return { kind: "record", record };
			}
			this.open = { record, chunk, parts: [r.body] };
		}
		if (chunk.index < chunk.count - 1n) return { kind: "nothing" };
		const whole = this.open;
		this.open = undefined;
		const value = Buffer.concat(whole.parts);
		if (BigInt(value.length) !== chunk.total || crc32c(value) !== chunk.crc) {
			throw new Error(`the chunks of offset ${record.offset} do not make up its value`);
		}
		whole.record.value = value;
		return { kind: "record", record: whole.record };
	}
}

function readPosition(b: Uint8Array): { record: KafkaRecord; isNull: boolean; chunk?: Chunk } {
	let at = 0;
	const byte = (): number => {
		const v = b[at++];
		if (v === undefined) throw new Foreign("position is cut short");
		return v;
	};
	const uvarint = (): bigint => {
		for (let v = 0n, shift = 0n; ; shift += 7n) {
			const next = byte();
			v |= BigInt(next & 0x7f) << shift;
			if (next >= 0x80) continue;
			if ((next === 0 && shift > 0n) || v >> 64n > 0n) throw new Foreign("position has a varint that is not in its shortest form");
			return v;
		}
	};
	const varint = (): bigint => {
		const v = uvarint();
		return (v >> 1n) ^ -(v & 1n);
	};

	const flags = byte();
	if (flags >> 5 !== 1) throw new Error(`the stream is in format version ${flags >> 5}, this reader knows version 1`);
	const timestampType = (["CreateTime", "LogAppendTime", "none"] as const)[(flags >> 2) & 3];
	if (flags & 0x10 || !timestampType) throw new Foreign("position has flags that mean nothing");
	const [offset, leaderEpoch, timestamp] = [uvarint(), Number(varint()), varint()];
	if (offset >> 63n > 0n || leaderEpoch !== (leaderEpoch | 0)) throw new Foreign("offset or leader epoch is too large");
	let chunk: Chunk | undefined;
	if (flags & 2) {
		const [index, count, total] = [uvarint(), uvarint(), uvarint()];
		chunk = { index, count, total, crc: ((byte() << 24) | (byte() << 16) | (byte() << 8) | byte()) >>> 0 };
		if (count < 2n || index >= count || total < count - 1n) throw new Foreign(`chunk ${index} of ${count}, ${total} bytes`);
	}
	if (at < b.length) throw new Foreign("position is too long");
	return { record: { offset, leaderEpoch, timestamp, timestampType, key: null, headers: [], value: null }, isNull: (flags & 1) !== 0, chunk };
}

function readHeaders(r: S2Record, record: KafkaRecord): void {
	r.headers.slice(1).forEach(([name, value], i) => {
		const prefix = text(name.subarray(0, 2));
		if (i === 0 && text(name) === "~k") record.key = value;
		else if (prefix === "~0" && value.length === 0) record.headers.push({ name: name.subarray(2), value: null });
		else if (prefix === "~~" && (name.length === 2 || name[2] === 0x7e)) record.headers.push({ name: name.subarray(2), value });
		else if (name.length > 0 && name[0] !== 0x7e) record.headers.push({ name, value });
		else throw new Foreign(`header name ${JSON.stringify(text(name))}`);
	});
}

const text = (b: Uint8Array): string => Buffer.from(b.buffer, b.byteOffset, b.length).toString("utf8");

const castagnoli = Uint32Array.from({ length: 256 }, (_, n) => {
	for (let bit = 0; bit < 8; bit++) n = n & 1 ? (n >>> 1) ^ 0x82f63b78 : n >>> 1;
	return n;
});

export function crc32c(b: Uint8Array): number {
	let crc = ~0;
	for (let i = 0; i < b.length; i++) crc = (crc >>> 8) ^ castagnoli[(crc ^ b[i]!) & 0xff]!;
	return ~crc >>> 0;
}
