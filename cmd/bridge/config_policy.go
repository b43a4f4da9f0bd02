package main

import (
	"regexp"
	"slices"

	"kafka-s2-bridge/handoff"
)

// PolicyConfig says in advance what becomes of what cannot be copied as it is.
// All but Start and DeadLetterTopic hold one of the words below.
type PolicyConfig struct {
	Start           handoff.StartPolicy // of a partition whose stream has no position
	LargeRecords    string
	RefusedRecords  string
	RetentionLost   string
	Truncated       string
	S2Behind        string
	TopicRecreated  string
	DeadLetterTopic string // "" = none
}

// The words of the policies.
const (
	policyHold       = "hold"
	policyChunk      = "chunk"
	policySkip       = "skip"
	policyDeadLetter = "dead_letter"
	policyGap        = "gap"
	policyReplay     = "replay"
	policyNewStream  = "new_stream"
)

// TopicPolicy is one table [[topic]]: the policy of the topics that it names. It
// is whole: what the table does not say is what [policy] says.
type TopicPolicy struct {
	Name  string // exact; "" = Match counts
	Match string // RE2 for whole names; "" = Name counts
	PolicyConfig
	StartOffsets map[int32]int64 // partition -> offset, before Start

	whole *regexp.Regexp // of Match
}

// matches says whether the table is about a topic.
func (t *TopicPolicy) matches(topic string) bool {
	if t.whole != nil {
		return t.whole.MatchString(topic)
	}
	return t.Name == topic
}

// policyFor is the policy of a topic: the first table that matches, else [policy].
func (c Config) policyFor(topic string) TopicPolicy {
	for i := range c.Overrides {
		if c.Overrides[i].matches(topic) {
			return c.Overrides[i]
		}
	}
	return TopicPolicy{PolicyConfig: c.Policy}
}

// policyOf is the policy of a partition in the words of its owner; chunks:
// whether large records are cut.
func (c Config) policyOf(topic string, partition int32) (policy handoff.Policy, chunks bool) {
	p := c.policyFor(topic)
	policy = handoff.Policy{
		Start:    p.Start,
		Large:    refusal(p.LargeRecords),
		Refused:  refusal(p.RefusedRecords),
		Standing: map[handoff.Reason]handoff.Answer{},
	}
	if offset, ok := p.StartOffsets[partition]; ok {
		policy.Start = handoff.StartPolicy{From: handoff.FromOffset, Offset: offset}
	}
	for reason, word := range map[handoff.Reason]string{
		handoff.RetentionLost: p.RetentionLost,
		handoff.Truncated:     p.Truncated,
		handoff.S2Behind:      p.S2Behind,
		handoff.Recreated:     p.TopicRecreated,
	} {
		if answer, ok := standing[word]; ok {
			policy.Standing[reason] = answer
		}
	}
	return policy, p.LargeRecords == policyChunk
}

// standing are the words that answer a hold by themselves.
var standing = map[string]handoff.Answer{
	policyGap:       handoff.AnswerGap,
	policyReplay:    handoff.AnswerReplay,
	policyNewStream: handoff.AnswerNewStream,
}

func refusal(word string) handoff.Refusal {
	switch word {
	case policySkip:
		return handoff.SkipRecord
	case policyDeadLetter:
		return handoff.DeadLetterRecord
	}
	return handoff.HoldRecord
}

// deadLetterTopics lists them all, each once: they are never bridged.
func (c Config) deadLetterTopics() (names []string) {
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	add(c.Policy.DeadLetterTopic)
	for i := range c.Overrides {
		add(c.Overrides[i].DeadLetterTopic)
	}
	return names
}

// keys are the settings of a policy in the table that prefix names.
func (p *PolicyConfig) keys(prefix string) []key {
	words := func(name string, dst *string, words ...string) key {
		return key{prefix + name, alternatives(words), word(dst), oneOf(dst, words...)}
	}
	return []key{
		{prefix + "start", `"earliest", "latest", "offset:" with a number, or a time with its zone, such as "2026-01-02T15:04:05Z", from 1970 on`, beginning(&p.Start), nil},
		words("large_records", &p.LargeRecords, policyChunk, policyHold, policyDeadLetter, policySkip),
		words("refused_records", &p.RefusedRecords, policyHold, policyDeadLetter, policySkip),
		words("retention_lost", &p.RetentionLost, policyHold, policyGap),
		words("truncated", &p.Truncated, policyHold, policyGap),
		words("s2_behind", &p.S2Behind, policyHold, policyReplay, policyGap),
		words("topic_recreated", &p.TopicRecreated, policyHold, policyNewStream),
		{prefix + "dead_letter_topic", `empty, or a topic's name: letters, digits, ".", "_", "-"; at most 249`, word(&p.DeadLetterTopic),
			is(func() bool { return p.DeadLetterTopic == "" || isTopic(p.DeadLetterTopic) })},
	}
}

// keys are the settings of a table [[topic]].
func (t *TopicPolicy) keys(prefix string) []key {
	return append([]key{
		{prefix + "name", "a topic's name", word(&t.Name), is(func() bool { return isTopic(t.Name) })},
		{prefix + "match", `a regular expression (RE2), such as "orders[.].*"`, word(&t.Match), regex(&t.Match)},
		{prefix + "start_offsets", `a table of partitions and offsets, such as { "0" = 1200, "3" = 99 }`, startOffsets(&t.StartOffsets), nil},
	}, t.PolicyConfig.keys(prefix)...)
}
