package s2mem_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/s2-streamstore/s2-sdk-go/s2"

	"kafka-s2-bridge/tests/s2mem"
)

// sdk is the vendor's client against a server.
func sdk(t *testing.T, srv *s2mem.Server) *s2.BasinClient {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	c := s2.New("token", &s2.ClientOptions{
		BaseURL:          srv.URL() + "/v1",
		HTTPClient:       &http.Client{Transport: tr},
		MakeBasinBaseURL: func(string) string { return srv.URL() + "/v1" },
		RetryConfig:      &s2.RetryConfig{MaxAttempts: 1},
	})
	return c.Basin(s2mem.DefaultBasin)
}

func TestSDK(t *testing.T) {
	srv := s2mem.Start(t, s2mem.Options{FlushDelay: time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	basin := sdk(t, srv)

	if _, err := basin.Streams.Create(ctx, s2.CreateStreamArgs{Stream: "orders/0"}); err != nil {
		t.Fatal("create:", err)
	}
	_, err := basin.Streams.Create(ctx, s2.CreateStreamArgs{Stream: "orders/0"})
	var api *s2.S2Error
	if !errors.As(err, &api) || api.Status != 409 || api.Code != "resource_already_exists" {
		t.Fatal("second create:", err)
	}
	list, err := basin.Streams.List(ctx, nil)
	if err != nil || len(list.Streams) != 1 || list.Streams[0].Name != "orders/0" {
		t.Fatal("list:", list, err)
	}
	st := basin.Stream("orders/0")

	ack, err := st.Append(ctx, &s2.AppendInput{Records: []s2.AppendRecord{
		s2.NewFenceCommandRecord("token-1", nil),
		{Headers: []s2.Header{{Name: []byte("k"), Value: []byte{0, 255}}}, Body: []byte("a")},
	}})
	if err != nil || ack.End.SeqNum != 2 {
		t.Fatal("append:", ack, err)
	}
	_, err = st.Append(ctx, &s2.AppendInput{Records: []s2.AppendRecord{{}}, FencingToken: s2.String("nope")})
	var fenced *s2.FencingTokenMismatchError
	if !errors.As(err, &fenced) || fenced.ExpectedFencingToken != "token-1" {
		t.Fatal("fenced append:", err)
	}

	session, err := st.AppendSession(ctx, nil)
	if err != nil {
		t.Fatal("session:", err)
	}
	var tickets []*s2.BatchSubmitTicket
	for i := range 20 {
		f, err := session.Submit(&s2.AppendInput{
			Records:      []s2.AppendRecord{{Body: fmt.Append(nil, i)}},
			MatchSeqNum:  s2.Uint64(uint64(2 + i)),
			FencingToken: s2.String("token-1"),
		})
		if err != nil {
			t.Fatal("submit:", err)
		}
		ticket, err := f.Wait(ctx)
		if err != nil {
			t.Fatal("wait:", err)
		}
		tickets = append(tickets, ticket)
	}
	for i, ticket := range tickets {
		if ack, err := ticket.Ack(ctx); err != nil || ack.Start.SeqNum != uint64(2+i) {
			t.Fatal("ack", i, ack, err)
		}
	}
	session.Close()

	tail, err := st.CheckTail(ctx)
	if err != nil || tail.Tail.SeqNum != 22 {
		t.Fatal("tail:", tail, err)
	}
	batch, err := st.Read(ctx, &s2.ReadOptions{TailOffset: s2.Int64(1)})
	if err != nil || len(batch.Records) != 1 || string(batch.Records[0].Body) != "19" {
		t.Fatal("read:", batch, err)
	}
	_, err = st.Read(ctx, &s2.ReadOptions{SeqNum: s2.Uint64(22)})
	var past *s2.RangeNotSatisfiableError
	if !errors.As(err, &past) || past.Tail.SeqNum != 22 {
		t.Fatal("read at the tail:", err)
	}
	rs, err := st.ReadSession(ctx, &s2.ReadOptions{SeqNum: s2.Uint64(1), Count: s2.Uint64(21)})
	if err != nil {
		t.Fatal("read session:", err)
	}
	for i := range 21 {
		if !rs.Next() || rs.Record().SeqNum != uint64(1+i) {
			t.Fatal("read session ended at", i, rs.Err())
		}
	}
	if rs.Next() || rs.Err() != nil {
		t.Fatal("read session goes on:", rs.Err())
	}
	rs.Close()
	srv.CutConnections()
}
