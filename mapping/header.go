package mapping

// Names that begin with '~' are the bridge's own. Kafka headers whose name
// would be one of them, or be empty, get a prefix, so the names in a stream
// tell what they are:
//
//	~      position         first header of a data record
//	~!     marker           the only header of a marker
//	~k     key              second header, absent if the key is null
//	~0...  null value       the rest is the Kafka name
//	~~...  escaped name     the rest is the Kafka name: empty, or begins with ~
//	other  Kafka header     as it is
//	empty  S2 command       the only header of it; never written here
const (
	own          = '~'
	namePosition = "~"
	nameMarker   = "~!"
	nameKey      = "~k"
	prefixNull   = "~0"
	prefixEscape = "~~"
)

// escape returns what goes in front of the header's name.
func escape(h *Header) string {
	switch {
	case h.Value == nil:
		return prefixNull
	case h.Key == "" || h.Key[0] == own:
		return prefixEscape
	}
	return ""
}

// checkHeader returns what is wrong with a stored Kafka header, or "".
func checkHeader(h StoredHeader) string {
	switch {
	case len(h.Name) == 0:
		return "empty header name beside other headers"
	case h.Name[0] != own:
		return ""
	}
	switch prefix, rest := splitName(h.Name); prefix {
	case prefixNull:
		if len(h.Value) > 0 {
			return "header with a null value has a value"
		}
		return ""
	case prefixEscape:
		if len(rest) > 0 && rest[0] != own {
			return "header name is escaped without need"
		}
		return ""
	}
	return "header name is reserved, or in a place where it must not be"
}

// unescape returns the Kafka header of one that checkHeader found right.
func unescape(h StoredHeader) Header {
	prefix, rest := splitName(h.Name)
	if prefix == prefixNull {
		return Header{Key: string(rest)}
	}
	return Header{Key: string(rest), Value: present(h.Value)}
}

// splitName cuts a prefix of ours from a header name.
func splitName(name []byte) (prefix string, rest []byte) {
	if len(name) >= 2 && name[0] == own {
		switch name[1] {
		case prefixNull[1]:
			return prefixNull, name[2:]
		case prefixEscape[1]:
			return prefixEscape, name[2:]
		}
	}
	return "", name
}

// present keeps an empty value apart from null, which is nil.
func present(v []byte) []byte {
	if v == nil {
		return []byte{}
	}
	return v
}
