package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"kafka-s2-bridge/mapping"
	"kafka-s2-bridge/sink"
	"kafka-s2-bridge/tests/real/kafka"
	"kafka-s2-bridge/tests/s2mem"
)

// child are the flags of the children.
type child struct {
	kafka, topic, group, endpoint, listen string
	bytes, each                           int
}

func flags(name string, args []string) (c child, err error) {
	f := flag.NewFlagSet(name, flag.ContinueOnError)
	f.StringVar(&c.kafka, "kafka", "", "broker")
	f.StringVar(&c.topic, "topic", "", "topic")
	f.StringVar(&c.group, "group", "", "consumer group")
	f.StringVar(&c.endpoint, "endpoint", "", "URL of S2")
	f.StringVar(&c.listen, "listen", "", "address of the server")
	f.IntVar(&c.bytes, "bytes", 0, "of a record")
	f.IntVar(&c.each, "each", 0, "records a partition")
	return c, f.Parse(args)
}

// done tells the parent, and waits to be ended.
func done(ctx context.Context) error {
	fmt.Println("done")
	<-ctx.Done()
	return nil
}

// serve is the S2 server: it checks, numbers and acknowledges, and keeps nothing.
func serve(ctx context.Context, args []string) error {
	c, err := flags("server", args)
	if err != nil {
		return err
	}
	s := s2mem.New(s2mem.Options{Basin: basin, Discard: true})
	defer s.Close()
	if err := s.Listen(c.listen); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// read is a consumer group with the client settings of the bridge's source, which throws the records away.
func read(ctx context.Context, args []string) error {
	c, err := flags("read", args)
	if err != nil {
		return err
	}
	cl, err := kgo.NewClient(
		kgo.SeedBrokers(c.kafka), kgo.ConsumerGroup(c.group), kgo.ConsumeTopics(c.topic),
		kgo.ConsumeResetOffset(kgo.NoResetOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(),
		kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(1<<20), kgo.FetchMaxWait(500*time.Millisecond),
		kgo.BlockRebalanceOnPoll(), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(500*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer cl.CloseAllowingRebalance()
	for n := 0; n < c.each*partitions; {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return err
		}
		fs.EachPartition(func(p kgo.FetchTopicPartition) {
			n += len(p.Records)
			cl.MarkCommitRecords(p.Records[len(p.Records)-1])
		})
		cl.AllowRebalance()
	}
	return done(ctx)
}

// appendAll sends made-up records through the bridge's encoder and append sessions, one a partition.
func appendAll(ctx context.Context, args []string) error {
	c, err := flags("append", args)
	if err != nil {
		return err
	}
	client, err := sink.New(sink.Config{Endpoint: c.endpoint, Basin: basin})
	if err != nil {
		return err
	}
	defer client.Close()
	errs := make([]error, partitions)
	var all sync.WaitGroup
	for p := range partitions {
		all.Go(func() { errs[p] = c.appendOne(ctx, client, int32(p)) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return done(ctx)
}

// window is how many batches may be under way in a stream: the bridge's default, 8 of them and 5 MiB.
func (c child) window() int { return min(8, 5*mib/(1000*c.bytes)) }

func (c child) appendOne(ctx context.Context, client *sink.Client, p int32) error {
	id := mapping.Identity{Cluster: "bench", Topic: c.topic, Partition: p}
	stream := client.Stream(fmt.Sprintf("%s/%d", c.topic, p), sink.StreamSettings{})
	if err := stream.Create(ctx); err != nil {
		return err
	}
	token := mapping.NewToken(id, 1, []byte("bench bench bench"))
	fence, err := stream.Fence(ctx, token, "", 0)
	if err != nil {
		return err
	}
	// Batches go out through sent and come back, in order, with their acks.
	sent, ended := make(chan *mapping.Batch, c.window()), make(chan error, 1)
	slots := make(chan struct{}, c.window())
	session := stream.Open(ctx, sink.Events{
		Acked: func(uint64, uint64) { (<-sent).Release(); <-slots },
		Ended: func(err error) { ended <- err },
	})
	defer session.Abort()
	pool := noise(1 << 20)
	value := func(i int) []byte { at := i * 64 % (len(pool) - c.bytes); return pool[at : at+c.bytes] }
	seq := fence + 1
	var queue []*mapping.Batch
	send := func(b *mapping.Batch) error {
		select {
		case slots <- struct{}{}:
		case err := <-ended:
			return fmt.Errorf("session ended early: %w", err)
		}
		sent <- b
		session.Send(b, seq, token)
		seq += uint64(b.Count())
		return nil
	}
	record := mapping.Record{Timestamp: time.Now().UnixMilli()}
	for i := range c.each {
		record.Offset, record.Value = int64(i), value(i)
		if queue, err = mapping.Pack(queue, &record, min(1000, c.each-i)*c.bytes); err != nil {
			return err
		}
		if len(queue) > 1 || queue[0].Full() {
			if err := send(queue[0]); err != nil {
				return err
			}
			queue = queue[:copy(queue, queue[1:])]
		}
	}
	for _, b := range queue {
		if err := send(b); err != nil {
			return err
		}
	}
	session.Finish()
	if err := <-ended; err != nil {
		return err
	}
	if len(sent) > 0 {
		return fmt.Errorf("%d batches were not acknowledged", len(sent))
	}
	return nil
}

// noise does not compress and is the same every time.
func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// fill makes the topic of a size.
func fill(ctx context.Context, broker *kafka.Broker, s size) error {
	if err := broker.CreateTopic(ctx, s.topic(), partitions, map[string]string{"retention.ms": "-1"}); err != nil {
		return err
	}
	cl, err := broker.Client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()),
		kgo.DefaultProduceTopic(s.topic()), kgo.MaxBufferedRecords(200_000))
	if err != nil {
		return err
	}
	defer cl.Close()
	pool := noise(1 << 20)
	first := make(chan error, 1)
	for i := range s.each() * partitions {
		at := i * 64 % (len(pool) - s.bytes)
		cl.Produce(ctx, &kgo.Record{Partition: int32(i % partitions), Value: pool[at : at+s.bytes]}, func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case first <- err:
				default:
				}
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		return err
	}
	select {
	case err := <-first:
		return fmt.Errorf("fill: %w", err)
	default:
		return nil
	}
}
