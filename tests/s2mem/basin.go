package s2mem

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// basin is a set of streams. Guarded by Server.mu.
type basin struct {
	srv     *Server
	name    string
	created time.Time
	config  basinConfig
	key     string // request token and configuration that created it
	streams map[string]*stream
	dying   map[string]dying // deleted, and the name not yet free
}

// dying is a stream whose deletion goes on.
type dying struct {
	info  streamInfo
	until time.Time
}

// pending refuses the name of a stream whose deletion goes on; nil otherwise.
func (b *basin) pending(name string) *refusal {
	d, ok := b.dying[name]
	if !ok {
		return nil
	}
	if !time.Now().Before(d.until) {
		delete(b.dying, name)
		return nil
	}
	return refuse("stream_deletion_pending", "stream deletion pending")
}

type basinConfig struct {
	Default              *configJSON `json:"default_stream_config"`
	Cipher               *string     `json:"stream_cipher"`
	CreateStreamOnAppend bool        `json:"create_stream_on_append"`
	CreateStreamOnRead   bool        `json:"create_stream_on_read"`
}

// defaults is the configuration of a stream that gives none.
func (b *basin) defaults() streamConfig {
	c := defaultConfig
	if b.config.Default != nil {
		c, _ = b.config.Default.over(c) // checked when the basin was made
	}
	return c
}

// find returns a stream, nil if there is none.
func (b *basin) find(name string) *stream { return b.streams[name] }

// make creates a stream.
func (b *basin) make(name string, c streamConfig, key string) *stream {
	st := &stream{srv: b.srv, name: name, basin: b, config: c, created: b.srv.opts.Now(), key: key}
	b.streams[name] = st
	return st
}

func missing(to target) *refusal {
	return refuse("stream_not_found", "stream `%s` in basin `%s` not found", to.stream, to.basin)
}

func checkBasinName(name string) string {
	ok := func(c rune) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
	switch {
	case len(name) < 8:
		return "basin name should be at least 8 bytes in length"
	case len(name) > 48:
		return "basin name must not exceed 48 bytes in length"
	case strings.ContainsFunc(name, func(c rune) bool { return !ok(c) && c != '-' }):
		return "basin name must comprise lowercase letters, numbers, and hyphens"
	case !ok(rune(name[0])):
		return "basin name must begin with a lowercase letter or number"
	case !ok(rune(name[len(name)-1])):
		return "basin name must end with a lowercase letter or number"
	}
	return ""
}

func checkStreamName(name string) string {
	switch {
	case name == "":
		return "stream name must not be empty"
	case name == "." || name == "..":
		return `stream name must not be "." or ".."`
	case len(name) > 512:
		return "stream name must not exceed 512 bytes in length"
	}
	return ""
}

type basinInfo struct {
	Name      string  `json:"name"`
	Location  *string `json:"location"`
	CreatedAt string  `json:"created_at"`
	DeletedAt *string `json:"deleted_at"`
	State     string  `json:"state"`
}

func (b *basin) info() basinInfo {
	return basinInfo{Name: b.name, CreatedAt: b.created.UTC().Format(time.RFC3339Nano), State: "active"}
}

func (s *Server) createBasin(r *http.Request, body []byte) answer {
	var req struct {
		Basin  *string      `json:"basin"`
		Config *basinConfig `json:"config"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return refuse("bad_json", "%v", err).answer()
	}
	if req.Basin == nil {
		return refuse("bad_json", "missing field `basin`").answer()
	}
	if why := checkBasinName(*req.Basin); why != "" {
		return refuse("bad_json", "%s", why).answer()
	}
	var c basinConfig
	if req.Config != nil {
		c = *req.Config
	}
	if c.Default != nil {
		if _, err := c.Default.over(defaultConfig); err != nil {
			return configRefusal(err).answer()
		}
	}
	key := creationKey(r, c)
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.basins[*req.Basin]; b != nil {
		if key == "" || key != b.key {
			return refuse("resource_already_exists", "basin `%s` already exists", b.name).answer()
		}
		return provisioned(http.StatusCreated, "noop", b.info())
	}
	b := &basin{srv: s, name: *req.Basin, created: s.opts.Now(), config: c, key: key, streams: map[string]*stream{}}
	s.basins[b.name] = b
	return provisioned(http.StatusCreated, "created", b.info())
}

func (s *Server) listBasins() answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := struct {
		Basins  []basinInfo `json:"basins"`
		HasMore bool        `json:"has_more"`
	}{Basins: []basinInfo{}}
	for _, b := range s.basins {
		out.Basins = append(out.Basins, b.info())
	}
	slices.SortFunc(out.Basins, func(a, b basinInfo) int { return strings.Compare(a.Name, b.Name) })
	return okJSON(out)
}

func (s *Server) getBasin(name string) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.basins[name]
	if b == nil {
		return refuse("basin_not_found", "basin `%s` not found", name).answer()
	}
	return okJSON(b.config)
}

// creationKey tells two creations apart: empty without a request token.
func creationKey(r *http.Request, config any) string {
	token := r.Header.Get("s2-request-token")
	if token == "" {
		return ""
	}
	return fmt.Sprintf("%s %s", token, encodeJSON(config))
}
