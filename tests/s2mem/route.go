package s2mem

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

const (
	mimeJSON  = "application/json"
	mimeProto = "application/protobuf"
	mimeS2S   = "s2s/proto"
)

// answer is a unary response.
type answer struct {
	status int
	kind   string // content type
	header [2]string
	body   []byte
}

func okJSON(v any) answer { return answer{status: http.StatusOK, kind: mimeJSON, body: encodeJSON(v)} }

func (a answer) write(w http.ResponseWriter) {
	h := w.Header()
	if a.kind != "" {
		h.Set("Content-Type", a.kind)
	}
	if a.header[0] != "" {
		h.Set(a.header[0], a.header[1])
	}
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	w.Write(a.body)
}

// ServeHTTP answers any request of the S2 API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.begin() {
		panic(http.ErrAbortHandler)
	}
	defer s.calls.Done()
	if r.ProtoMajor == 1 && r.Method == http.MethodPost && is(r.Header.Get("Content-Type"), mimeS2S) {
		// Answers must not wait for the end of a session's body; what is left of
		// it cannot be told from the next request.
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/1 always can
		w.Header().Set("Connection", "close")
	}
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), "/v1/")
	if !ok {
		if p := r.URL.Path; p == "/health" || p == "/ping" {
			answer{status: http.StatusOK, kind: "text/plain; charset=utf-8", body: []byte("OK")}.write(w)
			return
		}
		answer{status: http.StatusNotFound}.write(w)
		return
	}
	if no := s.authorize(r); no != nil {
		no.answer().write(w)
		return
	}
	parts := strings.Split(path, "/")
	switch {
	case parts[0] == "basins" && len(parts) <= 2:
		s.routeBasins(w, r, parts[1:])
	case parts[0] == "streams" && len(parts) == 1:
		s.routeStreams(w, r)
	case parts[0] == "streams" && len(parts) == 2:
		s.routeStream(w, r, parts[1])
	case parts[0] == "streams" && len(parts) == 3 && parts[2] == "records":
		s.routeRecords(w, r, parts[1])
	case parts[0] == "streams" && len(parts) == 4 && parts[2] == "records" && parts[3] == "tail":
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			notAllowed(w)
			return
		}
		s.unary(w, r, OpTail, parts[1], s.checkTail)
	case parts[0] == "access-tokens" || parts[0] == "metrics" || parts[0] == "locations":
		refuse("not_implemented", "Not implemented").answer().write(w)
	default:
		answer{status: http.StatusNotFound}.write(w)
	}
}

func notAllowed(w http.ResponseWriter) { answer{status: http.StatusMethodNotAllowed}.write(w) }

func (s *Server) routeBasins(w http.ResponseWriter, r *http.Request, name []string) {
	var do func() answer
	switch {
	case len(name) == 0 && r.Method == http.MethodGet:
		do = s.listBasins
	case len(name) == 0 && r.Method == http.MethodPost:
		do = func() answer {
			body, no := jsonBody(r)
			if no != nil {
				return no.answer()
			}
			return s.createBasin(r, body)
		}
	case len(name) == 1 && r.Method == http.MethodGet:
		do = func() answer { return s.getBasin(name[0]) }
	default:
		notAllowed(w)
		return
	}
	s.perform(w, r, Call{Op: OpBasin}, func(*fault) answer { return do() })
}

func (s *Server) routeStreams(w http.ResponseWriter, r *http.Request) {
	basin, no := basinName(r)
	if no != nil {
		no.answer().write(w)
		return
	}
	switch r.Method {
	case http.MethodGet:
		s.perform(w, r, Call{Op: OpList, Basin: basin}, func(*fault) answer { return s.listStreams(r, basin) })
	case http.MethodPost:
		req, no := createRequest(r)
		if no != nil {
			no.answer().write(w)
			return
		}
		s.perform(w, r, Call{Op: OpCreate, Basin: basin, Stream: req.name}, func(*fault) answer { return s.createStream(basin, req) })
	default:
		notAllowed(w)
	}
}

func (s *Server) routeStream(w http.ResponseWriter, r *http.Request, segment string) {
	switch r.Method {
	case http.MethodGet:
		s.unary(w, r, OpConfig, segment, s.getStream)
	case http.MethodPatch:
		s.unary(w, r, OpConfig, segment, s.patchStream)
	case http.MethodPut:
		s.unary(w, r, OpCreate, segment, s.putStream)
	case http.MethodDelete:
		s.unary(w, r, OpDelete, segment, s.deleteStream)
	default:
		notAllowed(w)
	}
}

func (s *Server) routeRecords(w http.ResponseWriter, r *http.Request, segment string) {
	session := is(r.Header.Get("Content-Type"), mimeS2S)
	switch {
	case r.Method == http.MethodGet && session:
		s.follow(w, r, segment)
	case r.Method == http.MethodGet:
		s.unary(w, r, OpRead, segment, s.read)
	case r.Method == http.MethodPost && session:
		s.appendSession(w, r, segment)
	case r.Method == http.MethodPost:
		s.appendUnary(w, r, segment)
	default:
		notAllowed(w)
	}
}

// target names what a request is about.
type target struct {
	basin, stream string
}

// targetOf reads basin header and path, in the real server's order.
func targetOf(r *http.Request, segment string) (target, *refusal) {
	basin, no := basinName(r)
	if no != nil {
		return target{}, no
	}
	name, err := url.PathUnescape(segment)
	if err != nil {
		return target{}, refuse("bad_path", "Invalid URL: %v", err)
	}
	if why := checkStreamName(name); why != "" {
		return target{}, refuse("bad_path", "Invalid URL: %s", why)
	}
	return target{basin, name}, nil
}

func basinName(r *http.Request) (string, *refusal) {
	values := r.Header.Values("s2-basin")
	if len(values) == 0 {
		return "", refuse("bad_header", "Missing header `s2-basin`")
	}
	if why := checkBasinName(values[0]); why != "" {
		return "", refuse("bad_header", "Invalid header `s2-basin`: %s", why)
	}
	return values[0], nil
}

// unary runs an operation on one stream.
func (s *Server) unary(w http.ResponseWriter, r *http.Request, op Op, segment string, do func(*http.Request, target) answer) {
	to, no := targetOf(r, segment)
	if no != nil {
		no.answer().write(w)
		return
	}
	s.perform(w, r, Call{Op: op, Basin: to.basin, Stream: to.stream}, func(*fault) answer { return do(r, to) })
}

// is compares the first media type of a header with a plain one.
func is(header, plain string) bool {
	first, _, _ := strings.Cut(header, ",")
	kind, _, err := mime.ParseMediaType(first)
	return err == nil && (kind == plain || plain == mimeProto && kind == "application/x-protobuf" ||
		plain == mimeJSON && strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
}

// jsonBody reads a body that must be declared as JSON.
func jsonBody(r *http.Request) ([]byte, *refusal) {
	if !is(r.Header.Get("Content-Type"), mimeJSON) {
		return nil, refuse("bad_json", "Expected request with `Content-Type: application/json`")
	}
	return readBody(r, "bad_json")
}

// readBody reads a unary body, decompressed.
func readBody(r *http.Request, code string) ([]byte, *refusal) {
	b, err := io.ReadAll(io.LimitReader(r.Body, maxBodyBytes+1))
	if err != nil {
		return nil, refuse(code, "Failed to buffer the request body: %v", err)
	}
	tooLong := refuse(code, "Failed to buffer the request body: length limit exceeded")
	if len(b) > maxBodyBytes {
		return nil, tooLong
	}
	var z zstdReader
	defer z.close()
	switch r.Header.Get("Content-Encoding") {
	case "", "identity":
	case "zstd":
		b, err = z.decompress(b, 1)
	case "gzip":
		b, err = z.decompress(b, 2)
	default:
		return nil, refuseAs(http.StatusUnsupportedMediaType, "other", "unsupported content encoding")
	}
	var bad errFrame
	if errors.As(err, &bad) {
		return nil, refuse(code, "Failed to buffer the request body: %v", err)
	}
	return b, nil
}
