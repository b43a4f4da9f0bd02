package main

import (
	"regexp"
	"slices"
	"strings"
)

// envPrefix begins the variables that are ours: all of them must be keys.
const envPrefix = "BRIDGE_"

// keyOfVariable turns BRIDGE_KAFKA__SESSION_TIMEOUT into kafka.session_timeout.
func keyOfVariable(variable string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(variable, envPrefix)), "__", ".")
}

func variableOfKey(name string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(name, ".", "__"))
}

// serviceLink is what Kubernetes puts into every container for a Service named
// "bridge" or "bridge-...": BRIDGE_SERVICE_HOST, BRIDGE_PORT_9464_TCP_ADDR and
// the like. Nobody wrote these; they must not stop the start.
var serviceLink = regexp.MustCompile(`^BRIDGE_(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$`)

func isServiceLink(variable string) bool {
	return serviceLink.MatchString(variable) && !strings.Contains(variable, "__")
}

// suggest ends a complaint about an unknown name with the key that was most
// likely meant.
func (l *loader) suggest(name string) string {
	if near := l.nearest(name); near != "" {
		return "; did you mean " + near + "?"
	}
	return "; config.example.toml explains all of them"
}

func (l *loader) suggestVariable(variable string) string {
	if text, ok := inTheFileOnly(keyOfVariable(variable)); ok {
		return text
	}
	if near := l.nearest(keyOfVariable(variable)); near != "" {
		return "; did you mean " + variableOfKey(near) + "?"
	}
	return "; they are named as the keys are: kafka.group is " + variableOfKey("kafka.group")
}

// nearest is the key that differs from name by at most two letters, dots and
// underscores not counted, or whose last word is name's; "" if there is none.
func (l *loader) nearest(name string) string {
	squeeze := strings.NewReplacer(".", "", "_", "", "-", "")
	plain := squeeze.Replace(strings.ToLower(name))
	best, least := "", 3
	for _, known := range l.names() {
		if d := distance(plain, squeeze.Replace(known), least); d < least {
			best, least = known, d
		}
	}
	if best != "" {
		return best
	}
	word := name[strings.LastIndex(name, ".")+1:]
	for _, k := range l.keys {
		if strings.HasSuffix(k.name, "."+strings.ToLower(word)) {
			return k.name
		}
	}
	return ""
}

// names are the keys and the tables that they are in.
func (l *loader) names() []string {
	var names []string
	for _, k := range l.keys {
		for i, r := range k.name {
			if r == '.' && !slices.Contains(names, k.name[:i]) {
				names = append(names, k.name[:i])
			}
		}
		names = append(names, k.name)
	}
	return names
}

// distance is how many letters must be put in, taken out or changed to make b
// of a; it stops counting at limit.
func distance(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}
