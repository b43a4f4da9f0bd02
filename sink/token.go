package sink

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// tokenPause is the least time between two readings of the token file: a
// thousand sessions may be refused in the same instant.
const tokenPause = time.Second

// credentials is the access token, and where to get its successor.
type credentials struct {
	file   string // empty: the token never changes
	logger *slog.Logger

	mu     sync.Mutex
	token  string
	before string // the token before, which late answers may still quote
	readAt time.Time
}

func newCredentials(cfg Config) (*credentials, error) {
	c := &credentials{file: cfg.AccessTokenFile, logger: cfg.Logger, token: cfg.AccessToken}
	if c.file == "" {
		return c, nil
	}
	token, err := readToken(c.file)
	if err != nil {
		return nil, fmt.Errorf("access_token_file: %w", err)
	}
	c.token = token
	return c, nil
}

func readToken(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(raw))
	if token == "" {
		return "", errors.New("the file is empty")
	}
	return token, validToken(token)
}

func (c *credentials) current() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.token
}

// refused hears that S2 did not accept token. It reads the file again and says
// whether the next request will carry another token, so that this refusal says
// nothing about it.
func (c *credentials) refused(token string) (replaced bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token != token {
		return true
	}
	now := time.Now()
	if c.file == "" || now.Sub(c.readAt) < tokenPause {
		return false
	}
	c.readAt = now
	fresh, err := readToken(c.file)
	if err != nil {
		c.logger.Warn("access token file", "error", err)
		return false
	}
	if fresh == token {
		return false
	}
	c.before, c.token = token, fresh
	c.logger.Info("access token replaced: its file has a new one")
	return true
}

// redact removes the tokens from text that came from elsewhere.
func (c *credentials) redact(text string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, t := range []string{c.token, c.before} {
		if t != "" {
			text = strings.ReplaceAll(text, t, "[access token]")
		}
	}
	return text
}
