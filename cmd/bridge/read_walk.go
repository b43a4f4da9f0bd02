package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink"
)

// walk goes through a stream, page by page.
//
//	Tail --> end                     trimmed        the end of the walk
//	                                 |..............|
//	[ page ][ page ][ page ] ...  next               end, or never (follow)
//	        every request is tried again while S2 has trouble
type walk struct {
	stream *sink.Stream
	notes  *notes
	next   uint64 // sequence number to go on from
	end    uint64 // the tail when the walk began
	follow bool   // go on behind it
	page   int    // records to ask for at once

	begun   bool // a page came: from then on nothing may be missing
	reached bool // S2 has answered: what goes wrong now may pass
}

// newWalk asks for the tail, and so whether there is such a stream.
func newWalk(ctx context.Context, b *basin, name string, n *notes) (*walk, error) {
	w := &walk{stream: b.Stream(name, sink.StreamSettings{}), notes: n, page: 1000}
	var err error
	w.end, err = insist(ctx, w, func() (uint64, error) { return w.stream.Tail(ctx) })
	return w, err
}

// pages calls take with each stored record from next on, and with end behind
// each page. It ends at the end of the walk (nil), with the error of one of
// both, or with that of S2.
func (w *walk) pages(ctx context.Context, take func(mapping.Stored) error, end func() error) error {
	for w.follow || w.next < w.end {
		page, err := w.read(ctx)
		if err != nil {
			return err
		}
		if len(page) == 0 && !w.follow {
			return w.cutShort(ctx)
		}
		for _, s := range page {
			if !w.follow && s.Seq >= w.end {
				return end()
			}
			if w.begun && s.Seq != w.next {
				w.notes.bad(w.next, s.Seq-1, "trimmed before they could be read")
			}
			w.next, w.begun = s.Seq+1, true
			if err := take(s); err != nil {
				return errors.Join(err, end())
			}
		}
		if err := end(); err != nil {
			return err
		}
	}
	return nil
}

// errShrunk is for a stream whose tail fell, which no trim does.
var errShrunk = errors.New("the stream ends before what was there when reading began: it was deleted and made anew, or S2 lost records")

// cutShort is the end of a walk whose rest is not there any more.
func (w *walk) cutShort(ctx context.Context) error {
	tail, err := insist(ctx, w, func() (uint64, error) { return w.stream.Tail(ctx) })
	switch {
	case err != nil:
		return err
	case tail < w.end:
		return errShrunk
	case w.begun:
		w.notes.bad(w.next, w.end-1, "trimmed before they could be read")
	}
	return nil
}

func (w *walk) read(ctx context.Context) ([]mapping.Stored, error) {
	return insist(ctx, w, func() ([]mapping.Stored, error) {
		if w.follow {
			page, err := w.stream.Await(ctx, w.next, w.page)
			if e := (*sink.Error)(nil); errors.As(err, &e) && e.Beyond() {
				err = errShrunk
			}
			return page, err
		}
		return w.stream.Read(ctx, w.next, int(min(uint64(w.page), w.end-w.next)))
	})
}

// peek reads up to count records at a sequence number.
func (w *walk) peek(ctx context.Context, from uint64, count int) ([]mapping.Stored, error) {
	return insist(ctx, w, func() ([]mapping.Stored, error) { return w.stream.Read(ctx, from, count) })
}

// pauses are the times before a request is made again. One that follows does
// not give up: it goes on with the last one.
var pauses = []time.Duration{0, 250 * time.Millisecond, time.Second, 5 * time.Second}

// insist makes a request, and makes it again while S2 has trouble that may pass.
// Where S2 was never reached it is not: most likely the endpoint is wrong.
func insist[T any](ctx context.Context, w *walk, request func() (T, error)) (T, error) {
	for try := 0; ; try++ {
		answer, err := request()
		var e *sink.Error
		switch {
		case err == nil:
			w.reached = true
			return answer, nil
		case ctx.Err() != nil:
			return answer, context.Cause(ctx)
		case !errors.As(err, &e) || !e.Temporary() || !w.reached:
			return answer, err
		case try == len(pauses)-1 && !w.follow:
			return answer, err
		case try == len(pauses)-1:
			w.notes.say("S2 has trouble, trying until it is over: " + err.Error())
		}
		if e.Status == 0 {
			w.stream.Suspect()
		}
		pause := time.NewTimer(max(pauses[min(try, len(pauses)-1)], e.RetryAfter()))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return answer, context.Cause(ctx)
		}
	}
}

// notes tells on standard error what there is to say about a stream besides
// its Kafka records. Equal remarks about neighbouring records are one line.
type notes struct {
	w      io.Writer
	before func() // called before a line, so that it comes behind the records before it
	broken uint64 // records that are bad

	held     bool
	from, to uint64
	text     string
}

// bad reports the records from and to, which are not what a bridge writes or
// could not be read.
func (n *notes) bad(from, to uint64, text string) {
	n.broken += to - from + 1
	if n.held && from == n.to+1 && text == n.text {
		n.to = to
		return
	}
	n.flush()
	n.held, n.from, n.to, n.text = true, from, to, text
}

// records is how many were bad, in words.
func (n *notes) records() string {
	if n.broken == 1 {
		return "1 record"
	}
	return grouped(int64(n.broken)) + " records"
}

// flush says what bad has held back.
func (n *notes) flush() {
	if !n.held {
		return
	}
	n.held = false
	if n.from == n.to {
		n.line(fmt.Sprintf("sequence number %d: %s", n.from, n.text))
		return
	}
	n.line(fmt.Sprintf("sequence numbers %d to %d: %s", n.from, n.to, n.text))
}

// say reports anything else.
func (n *notes) say(text string) {
	n.flush()
	n.line(text)
}

func (n *notes) line(text string) {
	if n.before != nil {
		n.before()
	}
	_, _ = io.WriteString(n.w, oneLine(text)+"\n") // nobody left to tell
}

// oneLine takes out what could move a terminal's cursor: remarks may quote what
// strangers wrote.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// look reports a record that is not what it should be; err is the Assembler's.
// The error that it returns is for a record that a newer bridge wrote: nothing
// behind it can be trusted.
func (n *notes) look(s mapping.Stored, e mapping.Entry, err error) error {
	switch {
	case e.Kind == mapping.Unsupported:
		n.flush()
		return fmt.Errorf("sequence number %d: %s: use the bridge that wrote it, or a newer one", s.Seq, oneLine(e.Why))
	case e.Kind == mapping.Foreign:
		n.bad(s.Seq, s.Seq, "not written by a bridge: "+e.Why)
	case err != nil:
		if inner := errors.Unwrap(err); inner != nil {
			err = inner // without the sequence number
		}
		n.bad(s.Seq, s.Seq, "corrupt: "+err.Error())
	}
	return nil
}
