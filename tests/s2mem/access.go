package s2mem

import (
	"net/http"
	"strings"
)

// SetAccessTokens replaces the access tokens: the allowed ones have every
// right, the denied ones are known but get 403. Both empty: nothing is asked
// for. Sessions that are open stay open.
func (s *Server) SetAccessTokens(allowed, denied []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = map[string]bool{}
	for _, t := range denied {
		s.tokens[t] = false
	}
	for _, t := range allowed {
		s.tokens[t] = true
	}
	s.anyToken = len(s.tokens) == 0
}

// authorize checks the bearer token of a request.
func (s *Server) authorize(r *http.Request) *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.anyToken {
		return nil
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	allowed, known := s.tokens[token]
	switch {
	case !ok || !known:
		return refuse("authn", "invalid access token")
	case !allowed:
		return refuse("permission_denied", "the access token does not permit this operation")
	}
	return nil
}
