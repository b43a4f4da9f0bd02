package s2read

import (
	"context"

	"kafka-s2-bridge/tests/oracle"
)

// CheckAll checks the streams of all partitions of a truth, one after the other. name says a partition's stream; nil:
// topic/partition. want says what to expect of each; nil: the strictest. The error is about reading only.
func (r *Reader) CheckAll(ctx context.Context, truth *oracle.Truth, name func(oracle.Identity) string, want func(*oracle.Served) oracle.Expect) ([]oracle.Report, error) {
	reports := make([]oracle.Report, 0, len(truth.Partitions))
	for _, s := range truth.Partitions {
		stream, expect := s.Name(), oracle.Expect{}
		if name != nil {
			stream = name(s.Identity)
		}
		if want != nil {
			expect = want(s)
		}
		report, err := oracle.Check(s, r.Stream(ctx, stream), expect)
		if err != nil {
			return reports, err
		}
		reports = append(reports, report)
	}
	return reports, nil
}
