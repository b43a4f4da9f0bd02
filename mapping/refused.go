package mapping

import "fmt"

// Refused is the error for a record that cannot be bridged as it is. Nothing
// of it was encoded.
type Refused struct {
	Offset int64
	Size   int    // bytes that the record needs; 0 if its size is not the reason
	Limit  int    // bytes that it may have; 0 likewise
	Why    string // the reason, a clause without a full stop
	Large  bool   // it would go in chunks, were they allowed
}

func (r *Refused) Error() string {
	sizes := ""
	if r.Limit > 0 {
		sizes = fmt.Sprintf(" (%d bytes, the limit is %d)", r.Size, r.Limit)
	}
	return fmt.Sprintf("the record at offset %d cannot be bridged: %s%s", r.Offset, r.Why, sizes)
}
