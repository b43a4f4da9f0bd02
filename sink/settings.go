package sink

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"time"
)

// opSettings is the operation of Settings, in metrics and errors.
const opSettings = "settings"

// Settings returns what S2 says of the stream as it is, whoever made it. It
// changes nothing and creates nothing: a missing stream is an error that says
// NotFound. The access token needs the operation get-stream-config.
func (s *Stream) Settings(ctx context.Context) (StreamSettings, error) {
	_, answer, err := s.client.do(ctx, call{
		op: opSettings, stream: s, method: http.MethodGet, url: s.client.url("streams", s.name),
	})
	if err != nil {
		return StreamSettings{}, err
	}
	settings, err := parseSettings(answer)
	if err != nil {
		return StreamSettings{}, s.client.failed(opSettings, s.name, err)
	}
	return settings, nil
}

// parseSettings takes only an answer that says how long records are kept: to
// guess S2's default for one that does not would be to know what nobody said.
func parseSettings(answer []byte) (StreamSettings, error) {
	var said struct {
		Class     string `json:"storage_class"`
		Retention *struct {
			Age      *uint64   `json:"age"` // seconds
			Infinite *struct{} `json:"infinite"`
		} `json:"retention_policy"`
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return StreamSettings{}, fmt.Errorf("%w: %w", errAnswer, err)
	}
	settings := StreamSettings{StorageClass: said.Class}
	switch r := said.Retention; {
	case r == nil || (r.Age == nil) == (r.Infinite == nil):
		return StreamSettings{}, fmt.Errorf("%w: no retention policy in it", errAnswer)
	case r.Infinite != nil:
	case *r.Age == 0:
		return StreamSettings{}, fmt.Errorf("%w: a retention of 0 seconds", errAnswer)
	default: // 292 years are as good as any longer time
		settings.Retention = time.Duration(min(*r.Age, math.MaxInt64/uint64(time.Second))) * time.Second
	}
	return settings, nil
}
