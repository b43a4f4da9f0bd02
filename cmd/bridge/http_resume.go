package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"kafka-s2-bridge/handoff"
)

// errNotAssigned: the group gives the partition to another member, or nobody.
var errNotAssigned = errors.New("not assigned to this process")

// resumeTimeout bounds how long an owner may take to take an answer. It is at its
// mail thousands of times a second: longer means that it is stuck.
const resumeTimeout = 10 * time.Second

// maxResumeBody is far above any real question, in bytes.
const maxResumeBody = 4 << 10

// resumeAsk is the body of a question.
type resumeAsk struct {
	Accept string `json:"accept"`
	// Reason is the hold that is meant; empty: whichever it is. What an answer gives
	// up depends on the hold, and that may change between reading and answering.
	Reason string `json:"reason,omitempty"`
}

// resumed is the answer to one that was taken.
type resumed struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Accepted  string `json:"accepted"`
	Was       string `json:"was"` // the reason of the hold
}

// notResumed is the answer to one that was not.
type notResumed struct {
	Error   string   `json:"error"`
	Reason  string   `json:"reason,omitempty"`  // of the hold, where there is one
	Accepts []string `json:"accepts,omitempty"` // what would fit it

	status int
}

// knownAnswers are those that fit some hold.
func knownAnswers() (words []string) {
	for _, r := range handoff.Reasons() {
		for _, a := range r.Answers() {
			if !slices.Contains(words, string(a)) {
				words = append(words, string(a))
			}
		}
	}
	slices.Sort(words)
	return words
}

// serveResume is the only thing on the endpoint that changes anything, and an
// answer may give records up for ever. So it must be somebody who is logged in on
// this machine: see fromOutside.
func serveResume(of Operated, log *slog.Logger, hide redactor) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		done, no := takeAnswer(w, r, of)
		if no != nil {
			no.Error = hide.text(no.Error)
			sayJSON(w, no.status, no)
			return
		}
		log.Info("hold answered", "from", r.RemoteAddr, "topic", done.Topic, "partition", done.Partition, "reason", done.Was, "answer", done.Accepted)
		sayJSON(w, http.StatusOK, done)
	}
}

func takeAnswer(w http.ResponseWriter, r *http.Request, of Operated) (done resumed, no *notResumed) {
	if why := fromOutside(r); why != "" {
		return done, &notResumed{status: http.StatusForbidden, Error: why}
	}
	topic, number, err := partitionOf(r)
	if err != nil {
		return done, &notResumed{status: http.StatusBadRequest, Error: err.Error()}
	}
	ask, err := readAsk(http.MaxBytesReader(w, r.Body, maxResumeBody))
	if err != nil {
		return done, &notResumed{status: http.StatusBadRequest, Error: err.Error()}
	}
	held, ok := find(of.Partitions(), topic, number)
	if !ok {
		return done, notHere(topic, number)
	}
	if no := ask.fits(held); no != nil {
		return done, no
	}
	ctx, cancel := context.WithTimeout(r.Context(), resumeTimeout)
	defer cancel()
	switch err := of.Resume(ctx, topic, number, handoff.Answer(ask.Accept)); {
	case errors.Is(err, errNotAssigned): // it was taken away meanwhile
		return done, notHere(topic, number)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return done, &notResumed{status: http.StatusServiceUnavailable, Error: fmt.Sprintf("%s did not take the answer in time; it may do so still: look at it again", held.id())}
	case err != nil: // the hold is another one, or over, by now
		now, _ := find(of.Partitions(), topic, number)
		return done, &notResumed{status: http.StatusConflict, Error: err.Error(), Reason: now.Reason, Accepts: now.Accepts}
	}
	return resumed{topic, number, ask.Accept, held.Reason}, nil
}

// fits says why an answer is none to the hold as it is; nil if it is one.
func (a resumeAsk) fits(p partition) *notResumed {
	no := &notResumed{status: http.StatusConflict, Reason: p.Reason, Accepts: p.Accepts}
	switch {
	case p.Reason == "":
		no.Error = p.id() + " is not held: there is nothing to answer"
	case a.Reason != "" && a.Reason != p.Reason:
		no.Error = fmt.Sprintf("%s is held for another reason by now, %s: look at it again before you answer", p.id(), p.Reason)
	case !slices.Contains(p.Accepts, a.Accept):
		no.Error = fmt.Sprintf("%s does not fit the hold of %s (%s): it takes %s", a.Accept, p.id(), p.Reason, strings.Join(p.Accepts, ", "))
	default:
		return nil
	}
	return no
}

func notHere(topic string, number int32) *notResumed {
	return &notResumed{status: http.StatusNotFound,
		Error: fmt.Sprintf("%s/%d is not assigned to this bridge, or has not begun: ask the other members of the group, and see /readyz", topic, number)}
}

// fromOutside says why a request may not change anything; "" if it may.
//
// A page in an operator's browser can send requests to this machine. It cannot
// send JSON to another site without asking first, and nobody answers that
// question here. But it can be of this site: its name, evil.example, may resolve
// to 127.0.0.1 by the time of the second request (DNS rebinding). Then the request
// comes from loopback, and only the Host header tells. A browser also says where
// the page is from, and a proxy for whom it asks: neither has business here.
func fromOutside(r *http.Request) string {
	const where = ": run `bridge resume` on the machine (in the container) of the bridge"
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err != nil || !from.Addr().Unmap().IsLoopback() {
		return "answers to holds are taken over loopback only" + where
	}
	if !isLoopbackHost(r.Host) {
		return "answers to holds are taken for 127.0.0.1, [::1] and localhost only, whatever else leads here" + where
	}
	for _, name := range []string{"Origin", "Forwarded", "X-Forwarded-For", "Via"} {
		if r.Header.Get(name) != "" {
			return "answers to holds are not taken from browsers or through proxies (the request has the header " + name + ")" + where
		}
	}
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return "the body must be JSON, and the Content-Type application/json"
	}
	return ""
}

// isLoopbackHost is for a Host header: with or without a port.
func isLoopbackHost(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(name, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Unmap().IsLoopback()
}

func partitionOf(r *http.Request) (topic string, number int32, err error) {
	topic = r.PathValue("topic")
	n, ok := parseCount(r.PathValue("partition"), 31)
	if !isTopic(topic) || !ok {
		return "", 0, errors.New("the path must be /api/v1/partitions/TOPIC/NUMBER/resume")
	}
	return topic, int32(n), nil
}

func readAsk(body io.Reader) (ask resumeAsk, err error) {
	d := json.NewDecoder(body)
	d.DisallowUnknownFields()
	if err := d.Decode(&ask); err != nil {
		return ask, errors.New(`the body must be JSON such as {"accept":"retry"}`)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ask, errors.New(`the body must be one JSON object such as {"accept":"retry"}`)
	}
	if words := knownAnswers(); !slices.Contains(words, ask.Accept) {
		return ask, errors.New(`"accept" must be one of ` + strings.Join(words, ", "))
	}
	if ask.Reason != "" && !slices.Contains(handoff.Reasons(), handoff.Reason(ask.Reason)) {
		return ask, errors.New(`"reason" must be empty, or the reason of a hold as /api/v1/partitions gives it`)
	}
	return ask, nil
}

// resumePath is the path that answers one partition's hold.
func resumePath(topic string, number int32) string {
	return "/api/v1/partitions/" + url.PathEscape(topic) + "/" + strconv.Itoa(int(number)) + "/resume"
}
