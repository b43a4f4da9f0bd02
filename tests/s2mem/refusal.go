package s2mem

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
)

// refusal is an answer other than success: the status and the JSON body of a
// unary answer, and equally of a session's terminal frame.
type refusal struct {
	status int
	body   []byte
}

// statusOf has the status of every S2 error code.
var statusOf = map[string]int{
	"access_token_not_found":  http.StatusNotFound,
	"authn":                   http.StatusUnauthorized,
	"bad_frame":               http.StatusBadRequest,
	"bad_header":              http.StatusBadRequest,
	"bad_json":                http.StatusBadRequest,
	"bad_path":                http.StatusBadRequest,
	"bad_proto":               http.StatusBadRequest,
	"bad_query":               http.StatusBadRequest,
	"basin_deletion_pending":  http.StatusConflict,
	"basin_not_found":         http.StatusNotFound,
	"client_hangup":           499,
	"decryption_failed":       http.StatusBadRequest,
	"hot_server":              http.StatusBadGateway,
	"invalid":                 http.StatusUnprocessableEntity,
	"not_implemented":         http.StatusNotImplemented,
	"other":                   http.StatusInternalServerError,
	"permission_denied":       http.StatusForbidden,
	"quota_exhausted":         http.StatusForbidden,
	"rate_limited":            http.StatusTooManyRequests,
	"request_timeout":         http.StatusRequestTimeout,
	"resource_already_exists": http.StatusConflict,
	"server_draining":         http.StatusServiceUnavailable,
	"storage":                 http.StatusInternalServerError,
	"stream_deletion_pending": http.StatusConflict,
	"stream_not_found":        http.StatusNotFound,
	"transaction_conflict":    http.StatusConflict,
	"unavailable":             http.StatusServiceUnavailable,
	"upstream_timeout":        http.StatusGatewayTimeout,
}

// refuse is the standard refusal of a code.
func refuse(code, format string, args ...any) *refusal {
	status := statusOf[code]
	if status == 0 {
		status = http.StatusInternalServerError
	}
	return refuseAs(status, code, fmt.Sprintf(format, args...))
}

func refuseAs(status int, code, message string) *refusal {
	return &refusal{status, encodeJSON(struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code, message})}
}

func refuseToken(actual string) *refusal {
	return &refusal{http.StatusPreconditionFailed, encodeJSON(map[string]string{"fencing_token_mismatch": actual})}
}

func refuseSeq(next uint64) *refusal {
	return &refusal{http.StatusPreconditionFailed, encodeJSON(map[string]uint64{"seq_num_mismatch": next})}
}

func refuseUnwritten(tail Position) *refusal {
	return &refusal{http.StatusRequestedRangeNotSatisfiable, encodeJSON(tailJSON{tail})}
}

func (r *refusal) answer() answer {
	return answer{status: r.status, kind: mimeJSON, body: r.body}
}

// encodeJSON is json.Marshal without the escapes for HTML, which S2 has not.
func encodeJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("s2mem: encode %T: %v", v, err)) // only values of ours come here
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
