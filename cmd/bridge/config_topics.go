package main

import (
	"regexp"
	"slices"
	"strings"
)

// tableOfTopics is the name of the tables [[topic]].
const tableOfTopics = "topic"

// takeOverrides takes the tables [[topic]] out of the file: they are read behind
// everything else, as they begin with what [policy] says.
func (l *loader) takeOverrides(file map[string]any) {
	l.overrides = file[tableOfTopics]
	delete(file, tableOfTopics)
}

// readOverrides reads them. Their keys are named by their place in the file, as
// in topic[2].start, and stand behind all other keys.
func (l *loader) readOverrides() {
	if l.overrides == nil {
		return
	}
	tables, ok := l.overrides.([]any)
	if !ok || slices.ContainsFunc(tables, func(t any) bool { _, ok := t.(map[string]any); return !ok }) {
		l.add(tableOfTopics, "must be tables, each written [["+tableOfTopics+"]]")
		return
	}
	l.cfg.Overrides = make([]TopicPolicy, len(tables))
	for i, table := range tables {
		t := &l.cfg.Overrides[i]
		t.PolicyConfig = l.cfg.Policy
		for _, k := range t.keys(override(i)) {
			l.keys = append(l.keys, k)
			l.byName[k.name] = k
		}
		l.walk(table.(map[string]any), override(i), strings.TrimSuffix(override(i), "."))
	}
}

// override is how the keys of table i begin.
func override(i int) string { return tableOfTopics + index(i) + "." }

func isOverride(name string) bool { return strings.HasPrefix(name, tableOfTopics+"[") }

// checkPolicies looks at [policy] and at the tables [[topic]], each as it counts
// in the end. What a table only repeats is reported once, where it was said.
func (l *loader) checkPolicies() {
	l.checkPolicy("policy.", &l.cfg.Policy, func(string) bool { return true })
	used := l.cfg.Policy.deadLetters()
	for i := range l.cfg.Overrides {
		prefix, t := override(i), &l.cfg.Overrides[i]
		said := func(word string) bool { return l.given[prefix+word] }
		l.checkPolicy(prefix, &t.PolicyConfig, said)
		if used = used || t.deadLetters(); said("dead_letter_topic") && t.DeadLetterTopic != "" && !t.deadLetters() {
			l.refuse(l.byName[prefix+"dead_letter_topic"], `means nothing: neither large_records nor refused_records is "dead_letter" here`)
		}
		l.checkTopicOf(i, t, said)
	}
	if l.cfg.Policy.DeadLetterTopic != "" && !used {
		l.refuse(l.byName["policy.dead_letter_topic"], `means nothing: no policy.large_records or policy.refused_records is "dead_letter"`)
	}
}

func (p *PolicyConfig) deadLetters() bool {
	return p.LargeRecords == policyDeadLetter || p.RefusedRecords == policyDeadLetter
}

// checkPolicy is for one table; said: whether a key was set there.
func (l *loader) checkPolicy(prefix string, p *PolicyConfig, said func(word string) bool) {
	target := l.byName[prefix+"dead_letter_topic"]
	for word, is := range map[string]string{"large_records": p.LargeRecords, "refused_records": p.RefusedRecords} {
		if is == policyDeadLetter && p.DeadLetterTopic == "" && (said(word) || said("dead_letter_topic")) {
			l.refuse(target, `must be set, as a policy says "dead_letter"`)
		}
	}
	if p.DeadLetterTopic != "" && said("dead_letter_topic") && slices.Contains(l.cfg.Kafka.Topics, p.DeadLetterTopic) {
		l.refuse(target, "must not be one of kafka.topics, which are bridged")
	}
	if p.TopicRecreated == policyNewStream && said("topic_recreated") && !perTopicID(l.cfg.Stream.Name) {
		l.refuse(l.byName[prefix+"topic_recreated"], `cannot be "new_stream" while stream.name has no {topic_id}: both topics would have one stream`)
	}
}

// perTopicID: a topic that is created anew gets other streams than before.
func perTopicID(template string) bool { return strings.Contains(template, "{topic_id}") }

// checkTopicOf looks whether a table means a topic that is bridged, and is not
// hidden by a table before it. A policy that silently does not count is worse
// than none.
func (l *loader) checkTopicOf(i int, t *TopicPolicy, said func(word string) bool) {
	name, match := l.byName[override(i)+"name"], l.byName[override(i)+"match"]
	switch {
	case said("name") && said("match"):
		l.refuse(name, "and match exclude each other: a table is for one topic, or for an expression")
	case !said("name") && !said("match") && !l.refused[name.name] && !l.refused[match.name]:
		l.refuse(name, "must be set, or match: which topics the table is for")
	}
	if l.refused[name.name] || l.refused[match.name] {
		return
	}
	if t.Match != "" {
		t.whole = regexp.MustCompile(wholeName(t.Match)) // checked with its key
	}
	for before := range i {
		if t.Name != "" && l.cfg.Overrides[before].matches(t.Name) {
			l.refuse(name, "is matched by "+tableOfTopics+index(before)+", which comes before: put this table first, or take it out")
			return
		}
	}
	for _, k := range []string{"kafka.topics", "kafka.topics_regex", "kafka.topics_exclude"} {
		if l.refused[k] {
			return
		}
	}
	switch k := l.cfg.Kafka; {
	case t.Name != "" && !k.bridges(t.Name):
		l.refuse(name, "is no topic that is bridged: see kafka.topics, kafka.topics_regex and kafka.topics_exclude")
	case t.Match != "" && len(k.TopicsRegex) == 0 && !slices.ContainsFunc(k.Topics, t.matches):
		l.refuse(match, "matches none of kafka.topics")
	}
}

// bridges says whether a topic of that name would be bridged.
func (k KafkaConfig) bridges(topic string) bool {
	in := func(list []string) bool {
		return slices.ContainsFunc(list, func(expr string) bool { return regexp.MustCompile(wholeName(expr)).MatchString(topic) })
	}
	return (slices.Contains(k.Topics, topic) || in(k.TopicsRegex)) && !in(k.TopicsExclude)
}

// inTheFileOnly ends a complaint about a variable that would be a table [[topic]].
func inTheFileOnly(name string) (text string, ok bool) {
	if name != tableOfTopics && !strings.HasPrefix(name, tableOfTopics+".") {
		return "", false
	}
	return "; tables [[" + tableOfTopics + "]] can only be in the file, the environment sets " + variableOfKey("policy.start") + " and the like, for all topics", true
}
