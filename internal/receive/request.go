package receive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dora-controller/dora-controller/internal/ingest"
)

// The paths, beside /hooks/NAMESPACE/NAME, and the type of the receivers that they are for.
var paths = map[string]string{"/events": "CloudEvents", "/events/deploy": "Events", "/events/change": "Events"}

// visit is one request on its way.
type visit struct {
	*opened

	request *http.Request
	at      time.Time
	named   *place // what the path names, if there is such a receiver: whether its sender asks shows from the body
	place   *place // whose request it is; nil as long as that is not known
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	v := &visit{opened: s.open.Load(), request: request, at: s.options.Now()}
	if f := s.forward.Load(); f != nil && v.opened == nil {
		s.notePassed(v, f.pass(w, request))
		return
	}
	said := s.attend(w, v)
	said.write(w)
	s.note(v, said)
}

// attend takes a request the whole way. What a driver does wrong is the fault of that request alone.
func (s *Server) attend(w http.ResponseWriter, v *visit) (said *answer) {
	defer func() {
		if fault := recover(); fault != nil {
			// Its text may hold what was sent.
			s.options.Log.Error(fmt.Errorf("a %T", fault), "A driver failed", "stack", string(debug.Stack()))
			said = refuse(http.StatusInternalServerError, DriverFailing, "this request cannot be read, by a mistake of ours: the controller's log has more")
		}
	}()
	if said := v.enter(); said != nil {
		said.unread = true
		return said
	}
	body, release, said := s.read(w, v.request)
	defer release()
	if said != nil {
		said.unread = true
		return said
	}
	return v.hear(&ingest.Request{Header: v.request.Header, Query: v.request.URL.Query(), Path: v.request.URL.Path, Body: body, Now: v.at})
}

// enter looks at all that there is to see before the body is read.
func (v *visit) enter() *answer {
	kind, sender, ok := route(v.request.URL.Path)
	switch {
	case !ok:
		return refuse(http.StatusNotFound, NoSuchPath, "nothing is taken at this path: post to the one that the DoraReceiver shows in status.path")
	case v.request.Method != http.MethodPost:
		return refuse(http.StatusMethodNotAllowed, NotPosted, "only POST is taken here")
	case v.opened == nil:
		return standingBy(nil)
	case !inJSON(v.request.Header):
		return refuse(http.StatusUnsupportedMediaType, NotJSON, "the body has to be JSON, uncompressed, with Content-Type: application/json")
	case kind != "":
		return v.enterByToken(kind)
	}
	// One that does not exist goes the same way until it is known who asks, so that the answers do not tell the two apart.
	if p := v.desk.named(sender); p != nil && len(p.Tokens) == 0 {
		v.named = p
	}
	return nil
}

const tooLarge = "the body is too large: 2 MiB are taken"

// enterByToken finds the receiver of a token. What it costs does not depend on the token.
func (v *visit) enterByToken(kind string) *answer {
	if scheme, token, _ := strings.Cut(v.request.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") {
		v.place = v.desk.bearing(strings.TrimSpace(token))
	}
	switch {
	case v.place == nil:
		return unknown()
	case v.place.Type != kind:
		return refuse(http.StatusForbidden, OtherType, "the token is of a DoraReceiver of another type: post to the path that it shows in status.path")
	}
	return nil
}

// unknown does not tell whether there is such a receiver.
func unknown() *answer {
	return refuse(http.StatusUnauthorized, NotSender,
		"the sender is not known here: look at the path, and at the token or secret, which has to be that of the DoraReceiver's Secret")
}

// hear is what is done with a request that has been read.
func (v *visit) hear(request *ingest.Request) *answer {
	if !v.verify(request) {
		return unknown()
	}
	if v.place.Suspended {
		return later(http.StatusServiceUnavailable, Suspended, time.Minute, "the receiver is suspended: send it again later")
	}
	if booked := v.place.limit.ReserveN(v.at, 1); booked.DelayFrom(v.at) > 0 {
		wait := booked.DelayFrom(v.at)
		booked.CancelAt(v.at)
		return later(http.StatusTooManyRequests, TooOften, wait,
			"more requests than the receiver takes in a minute: send it again later, or raise spec.rateLimit")
	}
	reports, err := v.place.Driver.Read(request)
	if err != nil && len(reports) == 0 {
		return wrong(err)
	}
	said := v.keep(reports)
	if err != nil && said.reason == accepted { // of a batch those are taken that can be read
		bad := wrong(err)
		bad.ids, bad.dropped = said.ids, said.dropped
		return bad
	}
	return said
}

// verify tells whether the sender asks. However much is forged, each request is verified: forgers keep nobody out.
func (v *visit) verify(request *ingest.Request) bool {
	of := cmp.Or(v.place, v.named)
	if of == nil || of.verify(request) != nil {
		v.place = nil
		return false
	}
	v.place = of
	return true
}

// wrong tells what is to be mended in a request, if that is known.
func wrong(err error) *answer {
	if bad, ok := errors.AsType[*ingest.BadRequestError](err); ok {
		return &answer{code: http.StatusBadRequest, reason: BadRequest, field: bad.Field, mend: bad.Mend}
	}
	return refuse(http.StatusBadRequest, BadRequest, "the request cannot be read")
}

// keep gives reports the names that are used here, and has the ledger take them.
func (v *visit) keep(reports []ingest.Report) *answer {
	if len(reports) == 0 {
		return &answer{code: http.StatusAccepted}
	}
	for i := range reports {
		v.place.translate(&reports[i])
	}
	all := len(reports)
	reports = slices.DeleteFunc(reports, func(r ingest.Report) bool { return r.Service == "" && !adds(r) })
	if len(reports) == 0 {
		return &answer{
			code: http.StatusUnprocessableEntity, reason: NoService, field: "service",
			mend: "nothing says which service this is about: name it, or set spec.defaultService of the DoraReceiver",
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(v.request.Context()), takeWithin)
	defer cancel()
	ids, err := v.ledger.Take(ctx, v.place.Sender, reports)
	if bad, ok := errors.AsType[*ingest.BadRequestError](err); ok {
		return wrong(bad)
	}
	if other, ok := errors.AsType[*ingest.ConflictError](err); ok {
		return &answer{code: http.StatusConflict, reason: KeyTaken, field: other.Field, mend: other.Mend}
	}
	if err != nil {
		said := later(http.StatusServiceUnavailable, LedgerFailing, 5*time.Second, "the ledger did not take it: send it again")
		said.cause = err
		return said
	}
	return &answer{code: http.StatusAccepted, ids: ids, dropped: all - len(reports)}
}

// adds tells whether a report adds to an incident whose service was told when it began, as a note does.
func adds(r ingest.Report) bool { return r.Incident != nil && r.Incident.OpenedAt.IsZero() }

// translate gives a report the names that are used here.
func (r *Receiver) translate(report *ingest.Report) {
	switch known, ok := r.Services[report.Service]; {
	case ok:
		report.Service = known
	case r.DefaultService != "":
		report.Service = r.DefaultService
	}
	if report.Environment == "" {
		report.Environment = r.Environment
	}
}

// route tells what a path is for: the type of a receiver that is known by its token, or else the name of one.
func route(path string) (kind string, sender Sender, ok bool) {
	if kind := paths[path]; kind != "" {
		return kind, Sender{}, true
	}
	rest, ok := strings.CutPrefix(path, "/hooks/")
	namespace, name, cut := strings.Cut(rest, "/")
	if !ok || !cut || namespace == "" || name == "" || strings.Contains(name, "/") {
		return "", Sender{}, false
	}
	return "", Sender{Namespace: namespace, Name: name}, true
}

// inJSON tells whether a body says that it is JSON. A compressed one is refused, and with it those that grow without bounds.
func inJSON(header http.Header) bool {
	if encoding := header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return false
	}
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && (kind == "application/json" || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json"))
}

// piece is by how much the room for a body grows. The first is there for each connection, so that large bodies do not keep small ones out.
const piece = 32 << 10

// read holds what has come in of a body, and no more; release gives its room back.
func (s *Server) read(w http.ResponseWriter, request *http.Request) (body []byte, release func(), said *answer) {
	var held int64
	release = func() { s.held.Release(held) }
	if request.ContentLength > bodyBytes {
		return nil, release, refuse(http.StatusRequestEntityTooLarge, TooLarge, tooLarge)
	}
	body = make([]byte, 0, piece)
	limited := http.MaxBytesReader(w, request.Body, bodyBytes)
	for {
		if len(body) == cap(body) {
			grow := int64(len(body))
			if !s.held.TryAcquire(grow) {
				return nil, release, later(http.StatusServiceUnavailable, Busy, time.Second, "too much is being read at this moment: send it again")
			}
			held += grow
			body = append(make([]byte, 0, int64(len(body))+grow), body...)
		}
		n, err := limited.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, release, nil
		}
		if _, large := errors.AsType[*http.MaxBytesError](err); large {
			return nil, release, refuse(http.StatusRequestEntityTooLarge, TooLarge, tooLarge)
		}
		if err != nil {
			return nil, release, refuse(http.StatusRequestTimeout, TooSlow, "the body did not come in time, or not whole: send it again")
		}
	}
}

// note counts a request, and writes the line of it in the log: who, what became of it, and the ids, and nothing that was sent.
func (s *Server) note(v *visit, said *answer) {
	log, sender, of := s.options.Log.WithValues("code", said.code), Sender{}, cmp.Or(v.place, v.named)
	if of != nil {
		sender = of.Sender
		log = log.WithValues("receiver", sender.String())
	}
	s.counts.WithLabelValues(sender.Namespace, sender.Name, strconv.Itoa(said.code)).Inc()
	if v.place == nil && !s.heeds(v) {
		return
	}
	switch {
	case said.reason == accepted:
		log.Info("Accepted", "ids", said.ids, "dropped", said.dropped)
	case said.cause != nil:
		log.Error(said.cause, "Cannot keep what was reported", "reason", said.reason)
	default:
		log.Info("Refused", "reason", said.reason, "field", said.field, "remote", v.request.RemoteAddr, "ids", said.ids)
	}
	switch {
	case of == nil:
	case said.reason == accepted:
		v.desk.accepted(of, v.at)
	default:
		v.desk.refused(of, v.at, said.reason)
	}
	if said.dropped > 0 {
		v.desk.refused(of, v.at, NoService)
	}
}

// notePassed counts a request that another process was to answer. Why it could not is for who runs this one, whoever asks.
func (s *Server) notePassed(v *visit, said *answer) {
	s.passed.WithLabelValues(strconv.Itoa(said.code)).Inc()
	if !s.heeds(v) {
		return
	}
	log := s.options.Log.WithValues("code", said.code, "remote", v.request.RemoteAddr)
	if said.cause != nil {
		log.Error(said.cause, "Cannot pass on to the process that leads what came for it", "reason", said.reason)
		return
	}
	log.Info("Passed on to the process that leads")
}

// heeds tells whether a request of which nobody knows who made it is worth a line in the log, and a place in the tally: so many are.
func (s *Server) heeds(v *visit) bool {
	if v.named != nil {
		return v.named.strangers.AllowN(v.at, 1)
	}
	return s.strangers.AllowN(v.at, 1)
}
