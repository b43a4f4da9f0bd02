package s2mem

import (
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// reading is where a read is, and what it may still take.
type reading struct {
	st       *stream
	seq      uint64
	count    uint64        // records left
	bytes    uint64        // metered bytes left
	until    uint64        // timestamps below it
	wait     time.Duration // for new records; < 0 for ever
	deadline time.Time     // of the waiting that goes on; zero: none yet
	over     bool          // a limit was reached
}

// readRequest is the query of a read.
type readRequest struct {
	seq, timestamp, tailOffset *uint64
	count, bytes, until, wait  *uint64
	clamp                      bool
}

func parseRead(q url.Values) (req readRequest, no *refusal) {
	for name, to := range map[string]**uint64{
		"seq_num": &req.seq, "timestamp": &req.timestamp, "tail_offset": &req.tailOffset,
		"count": &req.count, "bytes": &req.bytes, "until": &req.until, "wait": &req.wait,
	} {
		v, ok := q[name]
		if !ok {
			continue
		}
		if len(v) > 1 {
			return req, refuse("bad_query", "Failed to deserialize query string: duplicate field `%s`", name)
		}
		bits := 64
		if name == "wait" {
			bits = 32
		}
		n, err := strconv.ParseUint(v[0], 10, bits)
		if err != nil {
			return req, refuse("bad_query", "Failed to deserialize query string: %s: invalid digit found in string", name)
		}
		*to = &n
	}
	if v, ok := q["clamp"]; ok {
		if v[0] != "true" && v[0] != "false" {
			return req, refuse("bad_query", "Failed to deserialize query string: clamp: provided string was not `true` or `false`")
		}
		req.clamp = v[0] == "true"
	}
	given := 0
	for _, p := range []*uint64{req.seq, req.timestamp, req.tailOffset} {
		if p != nil {
			given++
		}
	}
	if given > 1 {
		return req, refuse("invalid", "only one of seq_num, timestamp, or tail_offset can be provided")
	}
	if req.timestamp != nil && req.until != nil && *req.timestamp >= *req.until {
		return req, refuse("invalid", "start `timestamp` exceeds or equal to `until`")
	}
	return req, nil
}

func or(p *uint64, d uint64) uint64 {
	if p == nil {
		return d
	}
	return *p
}

// start places a reading. unary ones are bounded by a page and wait only if
// they are told to.
func (req readRequest) start(st *stream, unary bool) (*reading, *refusal) {
	r := &reading{st: st, count: or(req.count, math.MaxUint64), bytes: or(req.bytes, math.MaxUint64), until: or(req.until, math.MaxUint64)}
	bounded := unary || req.count != nil || req.bytes != nil || req.until != nil
	switch {
	case req.wait != nil:
		r.wait = time.Duration(*req.wait) * time.Second
		if unary {
			r.wait = min(r.wait, time.Minute)
		}
	case !bounded:
		r.wait = -1
	}
	if r.count == 0 || r.bytes == 0 {
		r.over = true // nothing is asked for: never refused
		return r, nil
	}
	tail := st.stable
	beyond := false
	switch {
	case req.seq != nil:
		r.seq = *req.seq
		beyond = r.seq > tail.Seq
	case req.timestamp != nil:
		beyond = *req.timestamp > tail.Timestamp
		if !beyond {
			r.seq = st.seqAt(*req.timestamp)
		}
	default:
		r.seq = tail.Seq - min(tail.Seq, or(req.tailOffset, 0))
	}
	if beyond {
		if !req.clamp {
			return nil, refuseUnwritten(tail)
		}
		r.seq = tail.Seq
	}
	if r.seq == tail.Seq && r.wait == 0 {
		return nil, refuseUnwritten(tail)
	}
	return r, nil
}

// take moves over the durable records that lie ahead, a page at most. The
// caller holds the lock. At the end of a take that was not full, seq is the
// stream's tail or a limit was reached.
func (r *reading) take() []Record {
	if r.over {
		return nil
	}
	all := r.st.from(r.seq)
	size := uint64(0)
	n := 0
	for ; n < len(all) && n < MaxBatchRecords; n++ {
		m := uint64(all[n].Metered())
		if uint64(n) >= r.count || size+m > r.bytes || r.until != math.MaxUint64 && all[n].Timestamp >= r.until {
			r.over = true
			break
		}
		if size+m > MaxBatchBytes {
			break
		}
		size += m
	}
	if n == len(all) {
		r.seq = max(r.seq, r.st.stable.Seq)
	} else if n > 0 {
		r.seq = all[n-1].Seq + 1
	}
	if n > 0 {
		r.count -= uint64(n)
		r.bytes -= size
		r.over = r.over || r.count == 0 || r.bytes == 0
		r.deadline = time.Time{} // a delivery starts the waiting anew
	}
	return all[:n:n]
}

// read is a unary read: one page; with wait, what comes first while it waits.
func (s *Server) read(r *http.Request, to target) answer {
	req, no := parseRead(r.URL.Query())
	if no != nil {
		return no.answer()
	}
	raw, no := formatOf(r)
	if no != nil {
		return no.answer()
	}
	st, no := s.openStream(r, to, createsOnRead)
	if no != nil {
		return no.answer()
	}
	s.mu.Lock()
	at, no := req.start(st, true)
	var records []Record
	var tail *Position
	for no == nil {
		records = at.take()
		if len(records) > 0 || at.over || at.wait == 0 || st.deleted {
			break
		}
		if at.deadline.IsZero() {
			at.deadline = time.Now().Add(at.wait)
		}
		changed := st.change()
		s.mu.Unlock()
		timeout, stop := timeoutAt(at.deadline)
		late := false
		select {
		case <-changed:
		case <-timeout:
			late = true
		case <-r.Context().Done():
			late = true
		case <-s.closing:
			late = true
		}
		stop()
		s.mu.Lock()
		if late {
			break
		}
		now := st.stable
		tail = &now
	}
	gone := st.deleted
	s.mu.Unlock()
	s.abortIfClosing()
	switch {
	case no != nil:
		return no.answer()
	case gone:
		return refuse("unavailable", "streamer missing in action").answer()
	case len(records) == 0:
		tail = nil
	}
	if is(r.Header.Get("Accept"), mimeProto) {
		return answer{status: http.StatusOK, kind: mimeProto, body: protoBatch(nil, records, tail)}
	}
	return okJSON(jsonBatch(records, tail, raw))
}
