package mapping

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	streamNameMax = 512 // S2's limit, bytes
	topicNameMax  = 249 // Kafka's limit, bytes
)

// Fields of a template.
const (
	fieldTopic     = "topic"
	fieldPartition = "partition"
	fieldCluster   = "cluster"
	fieldTopicID   = "topic_id"
)

// Template makes stream names from identities. The zero Template makes none.
//
// A template is refused unless it gives every partition a name of its own.
// Three rules see to that:
//
//  1. {partition} is there, and {topic} or {topic_id}; no field twice.
//  2. Between {topic} and {partition} is text, and its character next to
//     {partition} is not a digit. (Not asked for if {cluster} is between.)
//  3. Between {cluster} and a {topic} or {partition} beside it is text with a
//     character that is not plain; plain are [a-zA-Z0-9._-].
//
// {topic_id} may stand anywhere, also within such a text, but does not count
// as text.
//
// Why that is enough: a name falls apart into what the fields put there in one
// way only. Texts and {topic_id} (22 plain characters) have fixed lengths. Of
// variable length are the topic t, the partition p (digits) and the cluster c;
// all are plain, which Name enforces. What stands before the first of them and
// behind the last one has a fixed length and can be taken off. Then:
//
//   - p alone: it is all that remains.
//   - t M p, with M of a fixed length. Say two names are the same string,
//     t M p = t' M' p', and p is shorter than p'. The last character of M
//     stands right before p, so it lies inside p' and is a digit. Rule 2 says
//     it is not. So p and p' have one length, and so have t and t'. p M t is
//     the mirror image. (Without the rule, {topic}{partition} gives "a11" to
//     partition 1 of topic a1 and to partition 11 of topic a.)
//   - c M p, or c M followed by t and p in either order: M has a character that
//     is not plain, c has none, and the first one of M is at a fixed place in
//     M. So its place in the name gives the length of c, and what is behind M
//     is one of the cases above. If c is last: the mirror image.
//   - c in the middle, t M c N p or p M c N t: the first character that is not
//     plain is in M, the last one is in N, both at fixed places there. That
//     gives the lengths of what is outside, and c is what remains.
//
// Without {cluster} this holds for the partitions of one cluster. Where two
// clusters write into one basin with such a template, the identity in the
// fencing token keeps them apart: the second one holds.
type Template struct {
	parts []part
}

// part is a piece of a template: a field, or text if the field is "".
type part struct {
	field string
	text  string
}

// ParseTemplate reads a template such as "{topic}/{partition}". The fields
// are {topic}, {partition}, {cluster} and {topic_id}. The error says in plain
// words why a template cannot be used.
func ParseTemplate(s string) (Template, error) {
	t, err := splitTemplate(s)
	if err == nil {
		err = t.distinct()
	}
	if err != nil {
		return Template{}, fmt.Errorf("stream name template %q: %w", s, err)
	}
	return t, nil
}

func splitTemplate(s string) (Template, error) {
	var t Template
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return t, errors.New("it has control characters or is not UTF-8")
	}
	for s != "" {
		i := strings.IndexAny(s, "{}")
		if i < 0 {
			i = len(s)
		}
		if i > 0 {
			t.parts = append(t.parts, part{text: s[:i]})
			s = s[i:]
			continue
		}
		end := strings.IndexByte(s, '}')
		if s[0] == '}' || end < 0 {
			return t, errors.New("it has a brace without its partner")
		}
		switch f := s[1:end]; f {
		case fieldTopic, fieldPartition, fieldCluster, fieldTopicID:
			if t.has(f) {
				return t, fmt.Errorf("{%s} is there twice", f)
			}
			t.parts = append(t.parts, part{field: f})
		default:
			return t, fmt.Errorf("{%s} is none of {topic}, {partition}, {cluster}, {topic_id}", f)
		}
		s = s[end+1:]
	}
	return t, nil
}

func (t Template) has(field string) bool { return t.index(field) >= 0 }

func (t Template) index(field string) int {
	for i, p := range t.parts {
		if p.field == field {
			return i
		}
	}
	return -1
}

// distinct checks the three rules.
func (t Template) distinct() error {
	if !t.has(fieldPartition) {
		return errors.New("without {partition}, all partitions of a topic would share one stream")
	}
	if !t.has(fieldTopic) && !t.has(fieldTopicID) {
		return errors.New("without {topic} or {topic_id}, topics would share streams")
	}
	left := -1 // the field of variable length that came last
	for right, p := range t.parts {
		if p.field == "" || p.field == fieldTopicID {
			continue
		}
		if left >= 0 && !t.apart(left, right) {
			what := "text that ends in something else than a digit beside {partition}"
			if t.parts[left].field == fieldCluster || p.field == fieldCluster {
				what = "text with a character that Kafka names cannot have, such as /,"
			}
			return fmt.Errorf("two partitions could get one name: put %s between {%s} and {%s}", what, t.parts[left].field, p.field)
		}
		left = right
	}
	return nil
}

// apart checks rule 3 or 2 for two neighbours of variable length.
func (t Template) apart(left, right int) bool {
	between := t.parts[left+1 : right]
	if t.parts[left].field == fieldCluster || t.parts[right].field == fieldCluster {
		for _, p := range between {
			if !isPlain(p.text) {
				return true
			}
		}
		return false
	}
	if len(between) == 0 {
		return false
	}
	// What stands beside {partition}; empty if that is a field.
	text, at := between[0].text, 0
	if t.parts[right].field == fieldPartition {
		text = between[len(between)-1].text
		at = len(text) - 1
	}
	return text != "" && (text[at] < '0' || text[at] > '9')
}

// Name returns the stream name of a partition. It refuses what would make a
// name that is not the partition's own, or that would change later: a field
// without a value, names that Kafka does not allow, more than 512 bytes.
// (S2's other forbidden names, "." and "..", cannot occur: a partition has a
// digit.)
func (t Template) Name(id Identity) (string, error) {
	if len(t.parts) == 0 {
		return "", errors.New("stream name: no template")
	}
	var b strings.Builder
	for _, p := range t.parts {
		switch p.field {
		case "":
			b.WriteString(p.text)
		case fieldTopic:
			if id.Topic == "" || len(id.Topic) > topicNameMax || !isPlain(id.Topic) {
				return "", fmt.Errorf("stream name: %q is no name of a Kafka topic", id.Topic)
			}
			b.WriteString(id.Topic)
		case fieldPartition:
			if id.Partition < 0 {
				return "", fmt.Errorf("stream name: partition %d is negative", id.Partition)
			}
			b.WriteString(strconv.Itoa(int(id.Partition)))
		case fieldCluster:
			if id.Cluster == "" || !isPlain(id.Cluster) {
				return "", fmt.Errorf("stream name: cluster id %q is empty or has characters beyond [a-zA-Z0-9._-]; use a template without {cluster}", id.Cluster)
			}
			b.WriteString(id.Cluster)
		case fieldTopicID:
			if id.TopicID == ([16]byte{}) {
				return "", fmt.Errorf("stream name: the broker tells no topic id for %q; use a template without {topic_id}", id.Topic)
			}
			b.WriteString(id.TopicUUID())
		}
	}
	if b.Len() > streamNameMax {
		return "", fmt.Errorf("stream name: %d bytes for partition %d of %q, S2 allows %d", b.Len(), id.Partition, id.Topic, streamNameMax)
	}
	return b.String(), nil
}

// isPlain tells whether s is made of the characters of topic names.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isBase64URL(c) && c != '.' {
			return false
		}
	}
	return true
}
