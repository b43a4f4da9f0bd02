package mapping

import (
	"hash/crc32"
	"runtime"
	"testing"
)

// Records of the largest sizes go out and come back, and cost what they must:
// one copy of the value in the batches, and a reader's own, which grows in steps.
func TestLargeRecords(t *testing.T) {
	const mib = 1 << 20
	tests := []struct {
		name   string
		size   int
		chunks int
	}{
		{"64MiB", 64 * mib, 65},
		{"256MiB", 256 * mib, 257},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.size > 64*mib && (testing.Short() || raceEnabled) {
				t.Skip("SKIPPED under -short and -race: takes a gigabyte and a few seconds; make test runs it")
			}
			r := Record{Offset: 77, LeaderEpoch: 3, Timestamp: 1764000000000, Key: []byte("key"), Headers: []Header{{Key: "~h"}}}
			r.Value = filled(tt.size)
			sum := crc32.ChecksumIEEE(r.Value) // of another kind than the record's own

			var queue []*Batch
			writing := allocated(func() {
				var err error
				if queue, err = (Packer{MaxRecord: tt.size + 100}).Pack(nil, &r, mib); err != nil {
					t.Fatal(err)
				}
			})
			r.Value = nil
			mem := 0
			for _, b := range queue {
				mem += b.Mem()
			}
			if len(queue) != tt.chunks || mem > tt.size+tt.size/8+4*mib || writing > uint64(mem+mib) {
				t.Errorf("%d chunks pin %d MiB, and allocated %d MiB", len(queue), mem/mib, writing/mib)
			}

			var a Assembler
			var got *Record
			reading := allocated(func() {
				for i, b := range queue {
					if got != nil {
						t.Fatalf("complete before chunk %d", i)
					}
					s := one(t, b)
					s.Seq = uint64(i)
					var err error
					if got, _, err = a.Feed(s); err != nil {
						t.Fatal(err)
					}
					b.Release()
				}
			})
			if got == nil || len(got.Value) != tt.size || crc32.ChecksumIEEE(got.Value) != sum || string(got.Key) != "key" || len(got.Headers) != 1 {
				t.Fatal("the record did not come back")
			}
			if reading > uint64(tt.size+tt.size/2+8*mib) {
				t.Errorf("reading allocated %d MiB", reading/mib)
			}
			t.Logf("%d chunks: %d MiB in batches, %d MiB allocated to read them", len(queue), mem/mib, reading/mib)
		})
	}
}

// allocated is what f allocates, bytes.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Once buffers are there, a record of many chunks needs no more of them.
func TestPackChunksDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("SKIPPED under -race, which drops pooled buffers at random; make test runs it")
	}
	r := Record{Key: []byte("k"), Value: make([]byte, 5<<20)}
	queue := make([]*Batch, 0, 16)
	round := func() {
		r.Offset++
		queue, _ = Pack(queue, &r, 0)
		for _, b := range queue {
			b.Release()
		}
		queue = queue[:0]
	}
	round()
	// A Batch for each chunk, and little else.
	if n := testing.AllocsPerRun(20, round); n > 12 {
		t.Errorf("%v allocations for 6 chunks", n)
	}
}

func BenchmarkPackChunks(b *testing.B) {
	r := Record{Key: []byte("k"), Value: filled(8 << 20)}
	var queue []*Batch
	b.SetBytes(int64(len(r.Value)))
	b.ReportAllocs()
	for b.Loop() {
		r.Offset++
		queue, _ = Pack(queue[:0], &r, 0)
		for _, batch := range queue {
			batch.Release()
		}
	}
}
