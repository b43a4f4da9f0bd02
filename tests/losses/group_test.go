package losses

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// commit is what the group has committed for a partition.
func (w *world) commit(topic string, partition int32) kadm.Offset {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	commits, err := w.admin.FetchOffsets(ctx, group)
	if err != nil {
		w.t.Fatal(err)
	}
	c, ok := commits.Lookup(topic, partition)
	if !ok {
		w.t.Fatalf("nothing is committed for %s/%d", topic, partition)
	}
	return c.Offset
}

// setCommit commits as another program does; the group must be empty.
func (w *world) setCommit(c kadm.Offset) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patient)
	defer cancel()
	var set kadm.Offsets
	set.Add(c)
	answer, err := w.admin.CommitOffsets(ctx, group, set)
	if err == nil {
		err = answer.Error()
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// Other programs moved the group's offsets, forward and back, or removed them, while the bridge was down: S2 says where to go on,
// and it costs a line of the log.
func TestT64OffsetsMovedByOtherPrograms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 6)
	w.produceAll("orders", 6, 20)
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 0, 1, 2, 3, 4, 5)
	r.stop()
	w.produceAll("orders", 6, 10)
	w.keep("orders")
	reset := func(p int32, at int64, metadata string) {
		w.setCommit(kadm.Offset{Topic: "orders", Partition: p, At: at, LeaderEpoch: -1, Metadata: metadata})
	}
	reset(0, 25, "")                 // forward: five records would be skipped
	reset(1, 0, "")                  // back: twenty would be there twice
	reset(2, 1000, "not the bridge") // above the end
	reset(3, 5, `{"v":1,"next":7,"last":4,"parts":6,"id":"AAAAAAAA"}`)
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if removed, err := w.admin.DeleteOffsets(ctx, group, kadm.TopicsSet{"orders": {4: {}}}); err != nil || removed.Error() != nil {
		t.Fatal(err, removed.Error())
	}
	r.again()
	w.copied("orders", 0, 1, 2, 3, 4, 5)
	w.exactAll("orders", 0, 1, 2, 3, 4, 5)
	if n := len(r.lines("the group's commit is not of this bridge", "S2 says where to start")); n != 4 {
		t.Errorf("the log says of %d partitions that their commit is of another program, want 4", n)
	}
	r.green()
}

// The whole group is deleted, or has expired: nothing is copied twice, whatever the start policy is.
func TestT63H33GroupDeleted(t *testing.T) {
	t.Parallel()
	for _, policy := range []string{"earliest", "latest", "offset:5"} {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.topic("orders", 2)
			w.produceAll("orders", 2, 20)
			settings := w.settings(nil, "orders")
			r := start(t, settings)
			w.copied("orders", 0, 1)
			r.stop()
			ctx, cancel := context.WithTimeout(t.Context(), patient)
			defer cancel()
			if _, err := w.admin.DeleteGroup(ctx, group); err != nil {
				t.Fatal(err)
			}
			w.produce("orders", 0, 10)
			settings["policy.start"] = policy
			r = start(t, settings)
			r.known("orders", 1, 20) // without a record
			w.copied("orders", 0)
			w.flow("orders", 0, 1)
			w.keep("orders")
			w.exactAll("orders", 0, 1)
			r.green()
		})
	}
}

// A program that moves offsets and keeps what stands beside them, the metadata of ours: it must not be believed.
func TestT64OffsetMovedWithItsMetadata(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 3)
	w.produceAll("orders", 3, 20)
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 0, 1, 2)
	r.stop()
	w.produceAll("orders", 3, 10)
	w.keep("orders")
	for p, to := range []int64{25, 5} {
		c := w.commit("orders", int32(p))
		c.At = to
		w.setCommit(c)
	}
	r.again()
	w.copied("orders", 0, 1, 2)
	w.exactAll("orders", 0, 1, 2)
	r.green()
}

// The group is gone, and retention has passed what the stream tells: the same hold as with a commit.
func TestT63H33GroupDeletedAndRecordsToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 2)
	w.produceAll("orders", 2, 20)
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 0, 1)
	w.keep("orders")
	r.stop()
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if _, err := w.admin.DeleteGroup(ctx, group); err != nil {
		t.Fatal(err)
	}
	w.produce("orders", 0, 20)
	w.delete("orders", 0, 30)
	w.delete("orders", 1, 20) // all of it is copied
	w.keep("orders")
	r.again()
	r.loses("orders", 0, "retention-lost", 20, 30)
	w.flow("orders", 1)
	r.resume("orders/0", "gap")
	w.flow("orders", 0, 1)
	w.keep("orders")
	w.exact("orders", 0, "orders/0", expect{gaps: []gap{lost("retention", 20, 30)}})
	w.exactAll("orders", 1)
	r.green()
}
