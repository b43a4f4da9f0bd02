package losses

import (
	"fmt"
	"strings"
	"testing"

	"kafka-s2-bridge/tests/real/bridge"
	"kafka-s2-bridge/tests/s2mem"
)

// Two deployments, each a group of its own, were pointed at the same streams. They throw each other out a few times, then one
// stands and names the other's group; no record is lost or doubled meanwhile, and when the other is stopped, it goes on.
func TestH51TwoDeploymentsOnOneStream(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 1)
	w.produce("orders", 0, 5)
	short := bridge.Settings{"kafka.session_timeout": "6s"}
	first := start(t, w.settings(short, "orders"))
	w.copied("orders", 0)
	second := start(t, w.settings(bridge.Settings{"kafka.session_timeout": "6s", "kafka.group": "second"}, "orders"))
	var held, other *run
	await(t, 2*patient, func() error {
		w.produce("orders", 0, 1) // whoever was fenced out notices by this
		for i, r := range []*run{first, second} {
			if s, err := r.status("orders", 0); err == nil && s.Reason != "" {
				held, other = r, []*run{second, first}[i]
				return nil
			}
		}
		return errWaiting
	}, "one of them is held")
	name := map[*run]string{first: group, second: "second"}[other]
	held.held("orders", 0, "rival", "token", `group "`+name+`"`)
	end := w.produce("orders", 0, 5)
	await(t, patient, func() error {
		if at := w.position("orders/0"); at != end-1 {
			return errWaiting
		}
		return nil
	}, "the other one does not go on")
	other.green()
	other.stop()
	held.resume("orders/0", "retry")
	end = w.produce("orders", 0, 5)
	await(t, patient, func() error {
		if at := w.position("orders/0"); at != end-1 {
			return errWaiting
		}
		return nil
	}, "the one that was held does not go on")
	held.green()
	w.keep("orders")
	w.exact("orders", 0, "orders/0", expect{shared: true})
}

// Two members of a group: the one that has the partition takes the answer, the other one says whom to ask.
func TestAnswerAtTheOtherMember(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 2)
	w.produceAll("orders", 2, 20)
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 0, 1)
	w.keep("orders")
	r.stop()
	w.produceAll("orders", 2, 20)
	w.delete("orders", 0, 30)
	w.delete("orders", 1, 30)
	w.keep("orders")
	members := []*run{start(t, w.settings(nil, "orders")), start(t, w.settings(nil, "orders"))}
	for p := range int32(2) {
		owner, other := members[0], members[1]
		await(t, patient, func() error {
			_, first := members[0].status("orders", p)
			_, second := members[1].status("orders", p)
			_, both := members[0].status("orders", 1-p)
			if (first == nil) == (second == nil) || (first == nil) == (both == nil) {
				return errWaiting
			}
			if first != nil {
				owner, other = members[1], members[0]
			}
			return nil
		}, "one partition for each member")
		owner.loses("orders", p, "retention-lost", 20, 30)
		name := fmt.Sprintf("orders/%d", p)
		if _, errout, code := other.types("resume", name, "--accept", "gap", "-c", other.Config()); code != 1 || !strings.Contains(errout, "ask the other members") {
			t.Errorf("the other member answers %d %s", code, errout)
		}
		owner.resume(name, "gap")
	}
	w.flow("orders", 0, 1)
	w.keep("orders")
	for p := range int32(2) {
		w.exact("orders", p, fmt.Sprintf("orders/%d", p), expect{gaps: []gap{lost("retention", 20, 30)}})
	}
}

// The bridge is killed while the marker that an answer allowed is on its way: the loss is found anew, and asked for anew, since it
// has grown; the late marker never lands.
func TestAnswerAndAKill(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 2)
	w.produceAll("orders", 2, 20)
	w.show("orders/0")
	r := start(t, w.settings(bridge.Settings{"kafka.instance_id": "one"}, "orders")) // it is back at once
	w.copied("orders", 0, 1)
	w.keep("orders")
	r.stop()
	w.produce("orders", 0, 20)
	w.delete("orders", 0, 30)
	w.keep("orders")
	r.again()
	r.loses("orders", 0, "retention-lost", 20, 30)
	late := w.s2.Fault(s2mem.Fault{Op: s2mem.OpBatch, Stream: "orders/0", Do: s2mem.Hold})
	r.resume("orders/0", "gap")
	w.hit(late, 1)
	if err := r.Kill(); err != nil {
		t.Fatal(err)
	}
	w.delete("orders", 0, 35)
	r.again()
	r.loses("orders", 0, "retention-lost", 20, 35, "offset 35")
	late.Remove()
	w.flow("orders", 1)
	r.resume("orders/0", "gap")
	w.flow("orders", 0)
	w.keep("orders")
	w.exact("orders", 0, "orders/0", expect{gaps: []gap{lost("retention", 20, 35)}})
	w.exactAll("orders", 1)
	r.green()
}

// Two losses at once: S2 is behind, and what it lacks Kafka has deleted, too. Each is asked for; `replay` gives nothing up.
func TestTwoLossesAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 2)
	w.produceAll("orders", 2, 20)
	w.show("orders/0")
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 0, 1)
	w.keep("orders")
	r.stop()
	w.s2.Rewind("orders/0", 12) // 0 to 9 are there
	w.produce("orders", 0, 10)
	w.delete("orders", 0, 25)
	w.keep("orders")
	r.again()
	r.held("orders", 0, "s2-behind")
	r.resume("orders/0", "replay")
	r.loses("orders", 0, "retention-lost", 10, 25)
	w.flow("orders", 1)
	r.resume("orders/0", "gap")
	w.flow("orders", 0)
	w.keep("orders")
	w.exact("orders", 0, "orders/0", expect{gaps: []gap{lost("retention", 10, 25)}})
	w.exactAll("orders", 1)
	r.gone("orders", 0, "retention", 15)
	r.green()
}

// Records are deleted that were copied already: that is no loss, whether the bridge runs or not.
func TestDeletedBehindThePosition(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.topic("orders", 2)
	w.produceAll("orders", 2, 20)
	r := start(t, w.settings(nil, "orders"))
	w.copied("orders", 0, 1)
	w.keep("orders")
	w.delete("orders", 0, 20)
	w.delete("orders", 1, 10)
	w.flow("orders", 0, 1)
	w.keep("orders")
	r.stop()
	w.delete("orders", 0, 23)
	r.again()
	w.flow("orders", 0, 1)
	w.keep("orders")
	w.exactAll("orders", 0, 1)
	if held := r.lines("partition held"); len(held) > 0 {
		t.Errorf("it was held: %s", strings.Join(held, "\n"))
	}
	r.green()
}
