package bed

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Sessions plays a part of the group's coordinator that kfake lacks.
//
// Where the connection of a member dies while it waits for the answer to its
// JoinGroup, kfake never starts its session, and a dead member keeps its
// partitions for ever. Kafka starts it for everybody when a join completes. So
// whoever is silent for longer than a session is made to leave.
//
// A member that waits in a join or a sync longer than a session, for another
// one that is dead, is thrown out by kfake, and never answered. Kafka counts
// whoever waits as alive. So the waiting get heartbeats in their name.
//
// And where the connection of a member dies while its SyncGroup waits, its next
// JoinGroup is not counted, and the group stands still until the rebalance
// time-out, or for ever. So a group that is not stable for a session and a half
// gets a new coordinator: it forgets the members and their connections.
type Sessions struct {
	kafka  *kfake.Cluster
	client *kgo.Client
	group  string
	length time.Duration
	cut    func() // the members' connections
	trace  *Trace

	mu         sync.Mutex
	heard      map[string]heard
	generation int32
	ours       string // the member in whose name a heartbeat is under way
	expired    int
	moved      int
}

// heard is the last that was heard of a member.
type heard struct {
	at time.Time
	in string // the state of the group in which it waits for an answer; empty: it does not
}

const (
	inJoin = "PreparingRebalance"
	inSync = "CompletingRebalance"
)

// NewSessions listens to the members. The client is undisturbed; cut closes the
// members' connections to Kafka.
func NewSessions(kafka *kfake.Cluster, client *kgo.Client, group string, length time.Duration, cut func(), trace *Trace) *Sessions {
	s := &Sessions{kafka: kafka, client: client, group: group, length: length, cut: cut, trace: trace, heard: map[string]heard{}}
	kafka.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.JoinGroup, kmsg.SyncGroup, kmsg.Heartbeat}, Group: group, Count: -1, Observe: true, When: s.listen,
	})
	return s
}

func (s *Sessions) listen(req kmsg.Request) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch r := req.(type) {
	case *kmsg.JoinGroupRequest:
		s.heard[r.MemberID] = heard{now, inJoin}
	case *kmsg.SyncGroupRequest:
		if r.Generation > s.generation { // a join has completed: whoever waited in it has its answer
			s.generation = r.Generation
			for id, h := range s.heard {
				if h.in == inJoin {
					s.heard[id] = heard{at: now}
				}
			}
		}
		s.heard[r.MemberID] = heard{now, inSync}
		if len(r.GroupAssignment) > 0 { // the leader's is answered at once
			s.heard[r.MemberID] = heard{at: now}
		}
	case *kmsg.HeartbeatRequest:
		if r.MemberID != s.ours && s.heard[r.MemberID].in != inJoin {
			s.heard[r.MemberID] = heard{at: now}
		}
	}
	return false
}

// Helped is how many dead members were made to leave, and how often the group
// got a new coordinator.
func (s *Sessions) Helped() (expired, moved int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.expired, s.moved
}

// Run looks after the sessions until ctx ends.
func (s *Sessions) Run(ctx context.Context) {
	tick := time.NewTicker(s.length / 12)
	defer tick.Stop()
	stable := time.Now() // when the group was last seen so
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		g := s.kafka.GroupInfo(s.group)
		if g == nil {
			continue
		}
		if g.State == "Stable" {
			stable = time.Now()
		} else if time.Since(stable) > s.length*3/2 {
			stable = time.Now()
			s.move(ctx, g)
			continue
		}
		for _, m := range g.Members {
			silent, waits := s.judge(m.MemberID, g.State)
			switch {
			case waits:
				s.beat(ctx, m, g.Epoch)
			case silent > s.length*7/6: // kfake itself comes first where it can
				s.expire(ctx, m)
			}
		}
	}
}

// judge says for how long a member has been silent, and whether that is because
// it waits for the others.
func (s *Sessions) judge(member, state string) (silent time.Duration, waits bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, known := s.heard[member]
	if !known { // a static member under a new name
		h = heard{time.Now(), inJoin}
		s.heard[member] = h
	}
	return time.Since(h.at), h.in == state
}

// beat sends a heartbeat in a member's name.
func (s *Sessions) beat(ctx context.Context, m kfake.GroupMember, epoch int32) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = s.group, m.MemberID, m.InstanceID, epoch
	name := func(member string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ours = member
	}
	name(m.MemberID)
	defer name("")
	if _, err := req.RequestWith(ctx, s.client); err != nil {
		s.trace.Printf("heartbeat in the name of %s: %v", m.MemberID, err)
	}
}

func (s *Sessions) expire(ctx context.Context, m kfake.GroupMember) {
	s.trace.Printf("the session of %s has expired", m.MemberID)
	s.leave(ctx, m)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired++
}

func (s *Sessions) move(ctx context.Context, g *kfake.GroupInfo) {
	s.trace.Printf("the group has been %s for too long: a new coordinator knows nobody", g.State)
	for _, m := range g.Members {
		s.leave(ctx, m)
	}
	s.cut()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moved++
}

func (s *Sessions) leave(ctx context.Context, m kfake.GroupMember) {
	gone := kmsg.NewLeaveGroupRequestMember()
	gone.MemberID, gone.InstanceID = m.MemberID, m.InstanceID
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.Members = s.group, []kmsg.LeaveGroupRequestMember{gone}
	if _, err := req.RequestWith(ctx, s.client); err != nil {
		s.trace.Printf("leave group: %v", err)
	}
}
