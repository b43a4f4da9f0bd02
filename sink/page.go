package sink

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink/s2s"
)

// Read returns one page of records, from the sequence number from on or from
// the first that is left behind it: at most count, at most 1,000, and at most
// what S2 puts on a page of 1 MiB. At the tail, and where all was trimmed, it
// is empty. The records share one buffer.
func (s *Stream) Read(ctx context.Context, from uint64, count int) ([]mapping.Stored, error) {
	return s.page(ctx, "seq_num="+strconv.FormatUint(from, 10), from, count, http.StatusRequestedRangeNotSatisfiable)
}

// ReadSince is Read from the first record on whose S2 timestamp, in
// milliseconds, is since or later. It is empty if there is none.
func (s *Stream) ReadSince(ctx context.Context, since uint64, count int) ([]mapping.Stored, error) {
	return s.page(ctx, "timestamp="+strconv.FormatUint(since, 10), 0, count, http.StatusRequestedRangeNotSatisfiable)
}

// Await is Read that waits for a record at the tail: half of RequestTimeout, in
// whole seconds (1 at least), and then the page is empty. A place behind the tail is an error
// that says Beyond.
func (s *Stream) Await(ctx context.Context, from uint64, count int) ([]mapping.Stored, error) {
	wait := strconv.Itoa(max(1, int(s.client.cfg.RequestTimeout/2/time.Second)))
	return s.page(ctx, "seq_num="+strconv.FormatUint(from, 10)+"&wait="+wait, from, count, http.StatusOK)
}

// Tail returns the sequence number that the next record will get. A missing
// stream is an error that says NotFound.
func (s *Stream) Tail(ctx context.Context) (uint64, error) { return s.askTail(ctx) }

// page asks for a page. also is a status that means an empty one.
func (s *Stream) page(ctx context.Context, query string, from uint64, count, also int) ([]mapping.Stored, error) {
	count = min(max(count, 1), s2s.MaxRecords)
	u := *s.records
	u.RawQuery = query + "&count=" + strconv.Itoa(count)
	status, answer, err := s.client.do(ctx, call{
		op: opRead, stream: s, method: http.MethodGet, url: &u,
		header: map[string]string{"accept": "application/protobuf"},
		also:   also,
	})
	if err != nil || status != http.StatusOK {
		return nil, err
	}
	page, err := s2s.ParseReadBatch(answer)
	if err != nil {
		return nil, s.client.failed(opRead, s.name, err)
	}
	if len(page.Records) > count {
		return nil, s.client.failed(opRead, s.name, fmt.Errorf("%w: %d records, asked for %d", errAnswer, len(page.Records), count))
	}
	stored := make([]mapping.Stored, len(page.Records))
	least := from
	for i, r := range page.Records {
		if r.SeqNum < least || r.SeqNum == math.MaxUint64 {
			return nil, s.client.failed(opRead, s.name, fmt.Errorf("%w: sequence number %d where %d or more must be", errAnswer, r.SeqNum, least))
		}
		least = r.SeqNum + 1
		stored[i] = mapping.Stored{Seq: r.SeqNum, Timestamp: r.Timestamp, Body: r.Body}
		if len(r.Headers) > 0 {
			stored[i].Headers = make([]mapping.StoredHeader, len(r.Headers))
		}
		for j, h := range r.Headers {
			stored[i].Headers[j] = mapping.StoredHeader(h)
		}
	}
	return stored, nil
}

// Names lists streams in the order of their names: those that begin with prefix
// and come behind after, at most 1,000. If there may be more, next is what to
// give as after for them; else it is empty.
func (c *Client) Names(ctx context.Context, prefix, after string) (names []string, next string, err error) {
	u := c.url("streams")
	u.RawQuery = url.Values{"prefix": {prefix}, "start_after": {after}}.Encode()
	nameless := &Stream{client: c, path: c.paths[0]}
	_, answer, err := c.do(ctx, call{op: opList, stream: nameless, method: http.MethodGet, url: u})
	if err != nil {
		return nil, "", err
	}
	var said struct {
		Streams []struct {
			Name    string  `json:"name"`
			Deleted *string `json:"deleted_at"`
		} `json:"streams"`
		HasMore bool `json:"has_more"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return nil, "", c.failed(opList, "", fmt.Errorf("%w: %w", errAnswer, err))
	}
	for _, s := range said.Streams {
		if s.Name <= after {
			return nil, "", c.failed(opList, "", fmt.Errorf("%w: the list of streams is not in order", errAnswer))
		}
		after = s.Name
		if s.Deleted == nil {
			names = append(names, s.Name)
		}
	}
	if !said.HasMore || len(said.Streams) == 0 {
		after = ""
	}
	return names, after, nil
}
