package losses

import (
	"context"
	"testing"

	"github.com/s2-streamstore/s2-sdk-go/s2"
	"github.com/twmb/franz-go/pkg/kadm"
)

// Retention, or somebody, trimmed the stream so that no record of it tells the position. The group's commit proves it: nobody needs
// to be asked, nothing is twice. Without a commit nothing proves it: held.
func TestT36H22StreamTrimmed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 4)
	w.produceAll("orders", 4, 20)
	w.show("orders/1")
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 0, 1, 2, 3)
	w.keep("orders")

	// While it runs, by a command in the stream, which takes a sequence number; and by retention.
	if err := w.append("orders/0", nil, s2.NewTrimCommandRecord(22, nil)); err != nil {
		t.Fatal(err)
	}
	w.flow("orders", 0)
	tail, _ := w.s2.Tail("orders/0")
	w.s2.Trim("orders/0", tail.Seq)
	w.s2.CutConnections()
	w.flow("orders", 0)
	r.unheld("orders", 0)

	r.stop()
	w.keep("orders")
	tail, _ = w.s2.Tail("orders/0")
	w.s2.Trim("orders/0", tail.Seq)
	w.s2.Trim("orders/1", 22)
	w.s2.Trim("orders/2", 22)
	ctx, cancel := context.WithTimeout(t.Context(), patient)
	defer cancel()
	if removed, err := w.admin.DeleteOffsets(ctx, group, kadm.TopicsSet{"orders": {1: {}}}); err != nil || removed.Error() != nil {
		t.Fatal(err, removed.Error())
	}
	w.setCommit(kadm.Offset{Topic: "orders", Partition: 2, At: 20, LeaderEpoch: -1}) // true, but nobody can know
	w.produceAll("orders", 4, 5)
	w.keep("orders")
	r.again()
	w.copied("orders", 0, 3)
	for p := int32(1); p <= 2; p++ {
		s := r.held("orders", p, "position-unproven", "22")
		if s.Lost != nil {
			t.Errorf("it says that %v is lost", s.Lost)
		}
	}
	w.flow("orders", 0, 3)
	if _, errout, code := r.types("resume", "orders/1", "--accept", "gap", "-c", r.Config()); code != 1 || errout == "" {
		t.Errorf("gap was taken: %d", code)
	}
	r.resume("orders", "replay")
	w.copied("orders", 1, 2)
	w.flow("orders", 0, 1, 2, 3)
	w.keep("orders")
	w.exactAll("orders", 3)
	w.exact("orders", 0, "orders/0", expect{start: 26, from: tail.Seq})
	w.exact("orders", 1, "orders/1", expect{from: 22}) // all of it, once more
	w.exact("orders", 2, "orders/2", expect{from: 22})
	r.green()
	r.stop()
	r.again()
	w.flow("orders", 0, 1, 2, 3)
	r.green()
}
