package s2mem

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type streamInfo struct {
	Name      string  `json:"name"`
	CreatedAt string  `json:"created_at"`
	DeletedAt *string `json:"deleted_at"`
	Cipher    *string `json:"cipher"`
}

func (st *stream) info() streamInfo {
	return streamInfo{Name: st.name, CreatedAt: st.created.UTC().Format(time.RFC3339Nano)}
}

func provisioned(status int, result string, info any) answer {
	a := okJSON(info)
	a.status = status
	a.header = [2]string{"s2-provision-result", result}
	return a
}

func configRefusal(err error) *refusal {
	var bad badConfig
	if errors.As(err, &bad) {
		return refuse(bad.code, "%s", bad.text)
	}
	return refuse("bad_json", "%v", err)
}

// creation is the body of POST /v1/streams.
type creation struct {
	name   string
	config configJSON
	key    string
}

func createRequest(r *http.Request) (c creation, no *refusal) {
	if t := r.Header.Get("s2-request-token"); len(t) > 36 {
		return c, refuse("bad_header", "Invalid header `s2-request-token`: request token was longer than 36 bytes in length: %d", len(t))
	}
	body, no := jsonBody(r)
	if no != nil {
		return c, no
	}
	var req struct {
		Stream *string     `json:"stream"`
		Config *configJSON `json:"config"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return c, refuse("bad_json", "%v", err)
	}
	if req.Stream == nil {
		return c, refuse("bad_json", "missing field `stream`")
	}
	if why := checkStreamName(*req.Stream); why != "" {
		return c, refuse("bad_json", "%s", why)
	}
	if req.Config != nil {
		c.config = *req.Config
	}
	c.name, c.key = *req.Stream, creationKey(r, c.config.plain())
	if _, err := c.config.over(defaultConfig); err != nil {
		return c, configRefusal(err)
	}
	return c, nil
}

// within runs do under the lock on an existing basin.
func (s *Server) within(name string, do func(*basin) answer) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.basins[name]
	if b == nil {
		return refuse("basin_not_found", "basin `%s` not found", name).answer()
	}
	return do(b)
}

func (s *Server) createStream(in string, c creation) answer {
	return s.within(in, func(b *basin) answer {
		if st := b.find(c.name); st != nil {
			if c.key == "" || c.key != st.key {
				return refuse("resource_already_exists", "stream `%s` in basin `%s` already exists", c.name, b.name).answer()
			}
			return provisioned(http.StatusCreated, "noop", st.info())
		}
		if no := b.pending(c.name); no != nil {
			return no.answer()
		}
		config, err := c.config.over(b.defaults())
		if err != nil {
			return configRefusal(err).answer()
		}
		return provisioned(http.StatusCreated, "created", b.make(c.name, config, c.key).info())
	})
}

func (s *Server) listStreams(r *http.Request, in string) answer {
	q := r.URL.Query()
	limit := 1000
	if v := q.Get("limit"); v != "" {
		n, err := strconv.ParseUint(v, 10, 64)
		if err != nil {
			return refuse("bad_query", "Failed to deserialize query string: limit: invalid digit found in string").answer()
		}
		if n > 0 && n < 1000 {
			limit = int(n)
		}
	}
	prefix, after := q.Get("prefix"), q.Get("start_after")
	return s.within(in, func(b *basin) answer {
		out := struct {
			Streams []streamInfo `json:"streams"`
			HasMore bool         `json:"has_more"`
		}{Streams: []streamInfo{}}
		var names []string
		add := func(name string) {
			if strings.HasPrefix(name, prefix) && name > after {
				names = append(names, name)
			}
		}
		for name := range b.streams {
			add(name)
		}
		for name := range b.dying {
			if b.pending(name) != nil {
				add(name)
			}
		}
		slices.Sort(names)
		for _, name := range names {
			if len(out.Streams) == limit {
				out.HasMore = true
				break
			}
			if st := b.find(name); st != nil {
				out.Streams = append(out.Streams, st.info())
			} else {
				out.Streams = append(out.Streams, b.dying[name].info)
			}
		}
		return okJSON(out)
	})
}

// withStream runs do under the lock on an existing stream. A missing basin is a
// missing stream here, as on the real server.
func (s *Server) withStream(to target, do func(*stream) answer) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.basins[to.basin]; b != nil {
		if st := b.find(to.stream); st != nil {
			return do(st)
		}
		if no := b.pending(to.stream); no != nil {
			return no.answer()
		}
	}
	return missing(to).answer()
}

func (s *Server) getStream(_ *http.Request, to target) answer {
	return s.withStream(to, func(st *stream) answer { return okJSON(st.config.json()) })
}

func (s *Server) patchStream(r *http.Request, to target) answer {
	body, no := jsonBody(r)
	if no != nil {
		return no.answer()
	}
	return s.withStream(to, func(st *stream) answer {
		c, err := st.config.patch(body, st.basin.defaults())
		if err != nil {
			return configRefusal(err).answer()
		}
		st.config = c
		return okJSON(c.json())
	})
}

// putStream is Ensure: what the request does not say goes to the defaults, also
// on an existing stream.
func (s *Server) putStream(r *http.Request, to target) answer {
	var given configJSON
	if r.Header.Get("Content-Type") != "" {
		body, no := jsonBody(r)
		if no != nil {
			return no.answer()
		}
		if len(body) > 0 {
			if err := json.Unmarshal(body, &given); err != nil {
				return refuse("bad_json", "%v", err).answer()
			}
		}
	}
	return s.within(to.basin, func(b *basin) answer {
		config, err := given.over(b.defaults())
		if err != nil {
			return configRefusal(err).answer()
		}
		if no := b.pending(to.stream); no != nil {
			return no.answer()
		}
		st := b.find(to.stream)
		switch {
		case st == nil:
			return provisioned(http.StatusCreated, "created", b.make(to.stream, config, "").info())
		case st.config == config:
			return provisioned(http.StatusOK, "noop", st.info())
		}
		st.config = config
		return provisioned(http.StatusOK, "updated", st.info())
	})
}

func (s *Server) deleteStream(_ *http.Request, to target) answer {
	a := s.withStream(to, func(st *stream) answer {
		st.remove()
		return answer{status: http.StatusAccepted}
	})
	if a.status == http.StatusConflict { // once more, while the deletion goes on
		return answer{status: http.StatusAccepted}
	}
	return a
}

// openStream finds the stream of an append or read, and creates it if the basin
// does so. given is the header s2-stream-config.
func (s *Server) openStream(r *http.Request, to target, creates func(basinConfig) bool) (*stream, *refusal) {
	var given configJSON
	if v := r.Header.Get("s2-stream-config"); v != "" {
		if err := json.Unmarshal([]byte(v), &given); err != nil {
			return nil, refuse("bad_header", "Invalid header `s2-stream-config`: %v", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.basins[to.basin]
	if b == nil {
		return nil, refuse("basin_not_found", "basin `%s` not found", to.basin)
	}
	if st := b.find(to.stream); st != nil {
		return st, nil
	}
	if no := b.pending(to.stream); no != nil {
		return nil, no
	}
	if !creates(b.config) {
		return nil, missing(to)
	}
	config, err := given.over(b.defaults())
	if err != nil {
		return nil, refuse("bad_header", "Invalid header `s2-stream-config`: %v", err)
	}
	return b.make(to.stream, config, ""), nil
}

func createsOnAppend(c basinConfig) bool { return c.CreateStreamOnAppend }
func createsOnRead(c basinConfig) bool   { return c.CreateStreamOnRead }
