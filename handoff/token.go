package handoff

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"kafka-s2-bridge/mapping"
)

// judge decides by the token on the stream whether it is ours to go on with.
func (m *Machine) judge(token string) {
	t, known := mapping.ParseToken(token)
	switch {
	case m.adopting && m.tail > 0 && (token == "" || !known || !m.related(t) || halfAdopted(t)):
		m.proceed(token)
	case token == "" && m.tail > 0 && !m.bare:
		// Tail and token are two questions: between them the stream may have
		// been deleted and made anew.
		m.bare = true
		m.wait(m.backoff(), m.ask)
	case token == "" && m.tail > 0:
		m.stop(TokenCleared, fmt.Sprintf("the stream has %d sequence numbers but no fencing token", m.tail))
	case token == "":
		m.proceed(token)
	case !known || !m.related(t) || halfAdopted(t) && (m.foreign || !m.mine[token]) && !m.has(AdoptionTrusted):
		m.seen = token
		m.readFrom(m.tail, lookForOpen)
	case m.mine[token] || m.first:
		// A first acquisition does not mind the generation: generations start
		// anew when a group is deleted.
		m.proceed(token)
	default:
		m.takenOver(token, t.Generation)
	}
}

// related: a token of our identity, or of the same one before topic ids.
func (m *Machine) related(t mapping.Token) bool {
	return t.ID == m.id || (t.ID == m.a.Identity.Anonymous().Hash() && !m.has(ZeroIDStranger))
}

func (m *Machine) proceed(token string) {
	switch {
	case m.phase == acquiring && m.adopting && m.tail > 0 && !(m.compared && m.mine[token]) && !m.has(AdoptBlindly):
		m.seen = token
		m.compare(compareFirst)
	case m.phase == acquiring:
		m.fenceOn(token)
	case m.tail == 0:
		m.startAnew()
	default:
		m.readFrom(m.tail, lookForStart)
	}
}

// rivals remembers take-overs by others that were not the group's doing.
type rivals struct {
	waited   bool   // this acquisition has waited for the group's word
	paused   bool   // this acquisition has let an older owner alone for a while
	standing string // the token that it waited under
	counted  string // the token of the newest take-over that counts
	at       []time.Duration
}

// settled: we are the writer again, or begin another acquisition.
func (r *rivals) settled() { r.waited, r.paused, r.standing = false, false, "" }

const (
	rivalCount  = 3
	rivalSpan   = 5 * time.Minute
	rivalPause  = 2 * time.Second
	foreignHint = "no open marker of it survives"
)

// takenOver: somebody else of our identity fenced us out.
//
// A process that was stopped for a minute wakes up with a partition that the
// group gave away meanwhile. It notices first that its append fails. If it
// fenced again now, it would throw out the rightful owner, who would fence
// again in turn. So an owner that sees a newer generation, or another of its
// own, waits for the group's word: if that does not come within a session
// time-out, the group still counts on us. A token of an older generation is
// that late riser's, and we only pause.
func (m *Machine) takenOver(token string, generation int64) {
	r := &m.rivals
	switch {
	case m.has(EagerZombie):
	case !r.waited && generation >= m.a.Generation:
		r.waited, r.standing = true, token
		m.trouble = fmt.Errorf("another owner of this partition fenced us out (token %s); waiting for the group's word", token)
		m.wait(m.cfg.SessionTimeout, m.ask)
		return
	case !r.waited && !r.paused:
		r.paused = true
		m.wait(rivalPause+m.jitter(rivalPause), m.ask)
		return
	case token == r.standing && token != r.counted:
		for len(r.at) > 0 && m.now-r.at[0] > rivalSpan {
			r.at = r.at[1:]
		}
		r.at, r.counted = append(r.at, m.now), token // one take-over counts once, however often we ask
		if len(r.at) >= rivalCount {
			r.at, m.seen = nil, token
			m.readFrom(m.tail, lookForOpen)
			return
		}
	}
	m.proceed(token)
}

// named ends lookForOpen: the stream is somebody else's, and perhaps a marker
// tells whose.
func (m *Machine) named(o *mapping.Open) {
	who := foreignHint
	if o != nil {
		who = "its newest open marker is of " + describe(o)
	}
	t, known := mapping.ParseToken(m.seen)
	id := m.a.Identity
	switch {
	case known && m.related(t) && halfAdopted(t):
		m.stop(ForeignIdentity, fmt.Sprintf("somebody answered adopt, and the bridge that did so was gone, or found other records, before it was done (token %s); %s", m.seen, who))
	case known && m.related(t):
		m.stop(Rival, fmt.Sprintf("another bridge took this partition over %d times within %s although the group gives it to us; its token is %s, and %s", rivalCount, rivalSpan, m.seen, who))
	case m.stranger(o) == Recreated:
		m.stop(Recreated, fmt.Sprintf("the stream belongs to an earlier topic %q with id %s; the topic's id is now %s", o.Topic, o.TopicID, id.TopicUUID()))
	default:
		m.stop(ForeignIdentity, fmt.Sprintf("the stream's fencing token is %q, ours would begin with kb1.%s: it belongs to somebody else; %s", m.seen, m.id, who))
	}
}

// stranger is the reason to hold for a stream with that open marker. A topic id
// that is zero is not known: it tells nothing of another topic.
func (m *Machine) stranger(o *mapping.Open) Reason {
	id := m.a.Identity
	unknown := id.Anonymous().TopicUUID()
	if o != nil && o.Cluster == id.Cluster && o.Topic == id.Topic && o.TopicID != id.TopicUUID() && o.TopicID != unknown && id.TopicUUID() != unknown {
		return Recreated
	}
	return ForeignIdentity
}

// adoption begins the random part of an adoption's token, and of no other.
const adoption = "adopt"

func halfAdopted(t mapping.Token) bool { return strings.HasPrefix(t.Random, adoption) }

// adopted: the marker that hides the other identity's epochs is there. From now on
// the stream is ours as any other is, and the token says so.
func (m *Machine) adopted() {
	t, _ := mapping.ParseToken(m.token)
	if m.phase == flowing && !m.foreign && !m.adopting && halfAdopted(t) {
		m.dropSession(false)
		m.phase = acquiring
		m.acquire(Answered)
	}
}

func (m *Machine) freshToken() string {
	random := make([]byte, 16)
	binary.LittleEndian.PutUint64(random, m.cfg.Rand.Uint64())
	binary.LittleEndian.PutUint64(random[8:], m.cfg.Rand.Uint64())
	if m.foreign {
		for i, c := range adoption {
			random[i] = byte(c-'a') + 10 // a digit of base 36
		}
	} else if random[0]%36 == 10 {
		random[0]++ // never an "a"
	}
	return mapping.NewToken(m.a.Identity, m.a.Generation, random)
}

// What the errors of the sink may tell: methods that they have, if they know.
// None of it decides a position or a success.

func fencedBy(err error) (token string, ok bool) {
	var e interface{ Fenced() (string, bool) }
	if errors.As(err, &e) {
		return e.Fenced()
	}
	return "", false
}

func denied(err error) bool {
	var e interface{ Denied() bool }
	return errors.As(err, &e) && e.Denied()
}
