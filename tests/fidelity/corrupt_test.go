package fidelity

import (
	"fmt"
	"testing"
)

// A batch that cannot be read stops its partition, which says so with its error; the others never notice, and the process lives
// on. What a repaired network brings whole is copied after all.
func TestT50BatchesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	var brokers forger
	w := newWorld(t, brokers.wrap)
	records := []rawRecord{{Timestamp: now.UnixMilli(), Key: []byte("bad"), Value: []byte("one")}, {Timestamp: now.UnixMilli(), Value: []byte("two")}}
	zeros := make([]byte, 200<<20)
	bomb := func(codec int8) []byte {
		return batch{Codec: codec, Records: records, Payload: compress(w, zeros, codec)}.encode(w)
	}
	garbage := func(codec int8) []byte {
		return batch{Codec: codec, Records: records, Payload: noise(500, uint64(codec))}.encode(w)
	}
	cases := []struct {
		name string
		bad  []byte
		seen func([]byte) []byte // what clients are given of it; nil: what it is
		says string              // in /readyz
	}{
		{"fine", batch{Records: records}.encode(w), nil, ""},
		{"garbage as gzip", garbage(1), nil, "decompress"},
		{"garbage as snappy", garbage(2), nil, "decompress"},
		{"garbage as lz4", garbage(3), nil, "decompress"},
		{"garbage as zstd", garbage(4), nil, "decompress"},
		{"200 MiB of zeros as gzip", bomb(1), nil, "unpacks to more than"},
		{"200 MiB of zeros as lz4", bomb(3), nil, "unpacks to more than"},
		{"200 MiB of zeros as zstd", bomb(4), nil, "unpacks to more than"},
		{"wrong checksum", batch{Records: records, Codec: 0}.encode(w), func(b []byte) []byte { b[atRecords+9] ^= 1; return b }, "crc"},
		{"unknown codec", batch{Records: records, Payload: nil}.encode(w), func(b []byte) []byte { b[atAttributes] |= 6; return seal(b) }, "compression"},
	}
	for i := range cases { // a forged one must not be taken for another
		if cases[i].seen != nil {
			cases[i].bad = batch{Records: append([]rawRecord{{Timestamp: now.UnixMilli(), Key: []byte(cases[i].name)}}, records...)}.encode(w)
			brokers.forge(cases[i].bad, cases[i].seen)
		}
	}
	w.topic("broken", len(cases), nil)
	for p, c := range cases {
		w.send(small("broken", p), small("broken", p))
		w.sendRaw("broken", p, c.bad)
		w.send(small("broken", p))
	}
	r := w.start("one", nil, "broken")
	for p, c := range cases {
		if c.says != "" {
			page := r.red(fmt.Sprintf("broken/%d cannot be fetched", p), c.says)
			if p == len(cases)-1 {
				t.Logf("/readyz: %s", page)
			}
		}
	}
	stable := func(p int) int64 { return w.kafka.PartitionInfo("broken", int32(p)).LastStableOffset }
	stand := func(broken func(p int) bool) {
		t.Helper()
		r.await(patient, func() error {
			commits, err := w.commits("broken")
			for _, c := range commits {
				want := stable(int(c.Partition))
				if broken(int(c.Partition)) {
					want = 2
				}
				if err == nil && c.Offset != want {
					err = fmt.Errorf("%s is committed up to %d, want %d", cases[c.Partition].name, c.Offset, want)
				}
			}
			return err
		}, "the group's commits")
	}
	stand(func(p int) bool { return cases[p].says != "" })
	w.send(small("broken", 0)) // and goes on
	stand(func(p int) bool { return cases[p].says != "" })
	for p, c := range cases {
		if n := len(w.chunks(fmt.Sprintf("broken/%d", p), 2)); n > 0 != (c.says == "") {
			t.Errorf("%s: %d records of the batch are in S2", c.name, n)
		}
	}
	// A batch may have up to twice the largest record, and a codec that grows its buffer holds that three times for a moment;
	// three bombs are not to be held at once.
	peak, most := r.memory(), 64+150+3*2*64
	if t.Logf("%d MiB resident at most", peak); peak > most {
		t.Errorf("that is more than %d MiB", most)
	}

	brokers.heal()
	stand(func(p int) bool { return cases[p].says != "" && cases[p].seen == nil })
	for p, c := range cases {
		if c.seen != nil {
			if n := len(w.chunks(fmt.Sprintf("broken/%d", p), 2)); n != 1 {
				t.Errorf("%s, healed: %d records with offset 2", c.name, n)
			}
		}
	}
	r.stop()
}
