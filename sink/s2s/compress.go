package s2s

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
)

const (
	compressionNone = iota
	compressionZstd
	compressionGzip
)

// zstdDecoder is shared: DecodeAll may be called from any goroutine and starts
// none. The bridge never asks S2 to compress, so it is made when first needed.
var zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
	return zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(MaxFrame))
})

// decompress returns body in plain. The result of compressionNone is body.
// Whatever the input, it allocates at most a little over MaxBody bytes.
func decompress(algorithm int, body []byte) ([]byte, error) {
	switch algorithm {
	case compressionNone:
		return body, nil
	case compressionZstd:
		d, err := zstdDecoder()
		if err != nil {
			return nil, fmt.Errorf("zstd decoder: %w", err)
		}
		plain, err := d.DecodeAll(body, nil)
		switch {
		case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded), len(plain) > MaxBody:
			return nil, ErrTooLarge
		case err != nil:
			return nil, fmt.Errorf("zstd frame: %w", err)
		}
		return plain, nil
	case compressionGzip:
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("gzip frame: %w", err)
		}
		plain, err := io.ReadAll(io.LimitReader(z, MaxBody+1))
		switch {
		case len(plain) > MaxBody:
			return nil, ErrTooLarge
		case err != nil:
			return nil, fmt.Errorf("gzip frame: %w", err)
		}
		return plain, nil
	default:
		return nil, ErrCompression
	}
}
