package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/hashicorp/go-multierror"
	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/v2"
)

// Bounds for what is read whole into memory. They are far above any real file,
// and turn "-c /dev/zero" into a message.
const (
	maxConfigFile = 256 << 10
	maxSecretFile = 16 << 10
)

// Load reads the file (none if path is ""), then the environment, which wins
// over it, and checks the result. The error names every mistake at once; it
// never contains a value that was found, so no secret either. Apart from the
// files that the configuration names, nothing is touched.
func Load(path string, environ []string) (Config, error) {
	var file []byte
	if path != "" {
		var err error
		if file, err = readFile(path, maxConfigFile); err != nil {
			return Config{}, fmt.Errorf("configuration file %s: %w", path, err)
		}
	}
	return parse(path, file, environ)
}

// parse is Load for a file that is already in memory; origin names it in
// messages.
func parse(origin string, file []byte, environ []string) (Config, error) {
	cfg := Defaults()
	l := newLoader(&cfg)
	l.readTOML(origin, file)
	l.readEnviron(environ)
	if l.complete {
		l.readOverrides()
		l.resolveSecrets()
		l.check()
	}
	cfg.S2.Endpoint = strings.TrimRight(cfg.S2.Endpoint, "/")
	return cfg, l.errorOrNil()
}

// loader fills a Config and collects what is wrong on the way.
type loader struct {
	cfg      *Config
	keys     []key
	byName   map[string]key
	from     map[string]string // key -> the variable that set it; absent: the file, or nobody
	problems *multierror.Error
	given    map[string]bool // keys that somebody set
	refused  map[string]bool // keys that were reported and need no second report
	complete bool            // the file could be read as TOML, so what is missing is missing

	overrides any // the file's [[topic]], before it is read
}

func newLoader(cfg *Config) *loader {
	l := &loader{
		cfg:      cfg,
		keys:     cfg.keys(),
		byName:   map[string]key{},
		from:     map[string]string{},
		given:    map[string]bool{},
		refused:  map[string]bool{},
		complete: true,
	}
	for _, k := range l.keys {
		l.byName[k.name] = k
	}
	return l
}

// inMemory is a koanf provider of bytes.
type inMemory []byte

func (b inMemory) ReadBytes() ([]byte, error)    { return b, nil }
func (b inMemory) Read() (map[string]any, error) { return nil, fmt.Errorf("needs a parser") }

func (l *loader) readTOML(origin string, file []byte) {
	ko := koanf.New(".")
	if err := ko.Load(inMemory(file), toml.Parser()); err != nil {
		l.complete = false
		l.add(origin, tomlMistake(err, l.keys))
		return
	}
	table := ko.Raw()
	l.takeOverrides(table)
	l.walk(table, "", origin)
}

// walk takes over one table of the file and what is below it. It goes by the
// tables and not by koanf's joined names, so that "kafka.group" in quotes, which
// is another key to TOML, is not taken for the group in the table kafka. place
// names the table in messages.
func (l *loader) walk(table map[string]any, prefix, place string) {
	for _, word := range slices.Sorted(maps.Keys(table)) {
		name, found := prefix+word, table[word]
		k, known := l.byName[name]
		below, isTable := found.(map[string]any)
		switch {
		case !isBareKey(word):
			l.add(place, "has a key that must be quoted; no key of the bridge looks like that")
		case known && k.set(found):
			l.given[name] = true
		case known:
			l.refuse(k, "must be "+k.want+k.butIs(found))
		case !l.isTable(name):
			l.add(name, "is not a key of the bridge"+l.suggest(name))
		case !isTable:
			l.add(name, "must be a table, written ["+name+"]")
		default:
			l.walk(below, name+".", name)
		}
	}
}

func (l *loader) isTable(name string) bool {
	return slices.ContainsFunc(l.keys, func(k key) bool { return strings.HasPrefix(k.name, name+".") })
}

// readEnviron takes over BRIDGE_ variables, and S2_ACCESS_TOKEN if nothing else
// gives a token: that name is S2's own, and may be there for other programs.
func (l *loader) readEnviron(environ []string) {
	ko := koanf.New(".")
	provider := env.Provider(".", env.Opt{
		Prefix:        envPrefix,
		TransformFunc: l.fromVariable,
		EnvironFunc:   func() []string { return environ },
	})
	if err := ko.Load(provider, nil); err != nil {
		l.add("the environment", "could not be read")
		return
	}
	l.walk(ko.Raw(), "", "the environment")
	if l.cfg.S2.AccessToken != "" || l.cfg.S2.AccessTokenFile != "" {
		return
	}
	for _, variable := range environ {
		if token, ok := strings.CutPrefix(variable, "S2_ACCESS_TOKEN="); ok {
			l.cfg.S2.AccessToken = Secret(token)
			l.given["s2.access_token"] = true
			l.from["s2.access_token"] = "S2_ACCESS_TOKEN"
		}
	}
}

// fromVariable turns BRIDGE_KAFKA__TOPICS=a,b into kafka.topics = ["a", "b"].
// A variable that is no key is reported here and left out.
func (l *loader) fromVariable(variable, content string) (string, any) {
	name := keyOfVariable(variable)
	k, known := l.byName[name]
	if !known {
		if !isServiceLink(variable) {
			l.add(printable(variable), "is not a variable of the bridge"+l.suggestVariable(variable))
		}
		return "", nil
	}
	l.from[name] = variable
	return name, k.read(content)
}

// resolveSecrets reads the files that secrets are kept in.
func (l *loader) resolveSecrets() {
	for _, s := range []struct {
		name string
		dst  *Secret
		file string
	}{
		{"kafka.sasl.password", &l.cfg.Kafka.SASL.Password, l.cfg.Kafka.SASL.PasswordFile},
		{"s2.access_token", &l.cfg.S2.AccessToken, l.cfg.S2.AccessTokenFile},
	} {
		switch {
		case s.file == "":
		case *s.dst != "":
			l.refuse(l.byName[s.name], "and "+s.name+"_file are both set: take one of them out")
		default:
			text, err := readSecret(s.file)
			*s.dst = Secret(text)
			switch {
			case errors.Is(err, errEmptySecret):
				l.refuse(l.byName[s.name+"_file"], "names a file that is empty")
				l.refused[s.name] = true
			case err != nil:
				l.refuse(l.byName[s.name+"_file"], "must be "+l.byName[s.name+"_file"].want+": "+err.Error())
				l.refused[s.name] = true
			}
		}
	}
}

var errEmptySecret = errors.New("the file is empty")

// readSecret returns what a file holds, without the spaces and line ends around it.
func readSecret(path string) (string, error) {
	content, err := readFile(path, maxSecretFile)
	text := strings.TrimSpace(string(content))
	if err == nil && text == "" {
		err = errEmptySecret
	}
	return text, err
}

// readFile returns a file of at most limit bytes. Its errors do not repeat the
// path: a token written where its file's path belongs must not be printed.
func readFile(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, withoutPath(err)
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, withoutPath(err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("is larger than %d KiB", limit>>10)
	}
	return content, nil
}
