package port

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"

	"github.com/dora-controller/dora-controller/internal/sink"
)

const (
	maxEntities = 20      // of one call
	maxBody     = 1 << 20 // of one call: more is answered with 413
	envelope    = 1 << 10 // what is around the entities, with something to spare
)

// entity is what Port takes.
type entity struct {
	Identifier string         `json:"identifier"`
	Title      string         `json:"title,omitempty"`
	Properties map[string]any `json:"properties"`
	Relations  map[string]any `json:"relations,omitempty"`
}

// item is an entity on its way.
type item struct {
	entity entity
	events []string // the ids of those that are in it
	drop   []string // the relations that it can go without, the least important first
	loose  bool     // it went without its service
	sent   bool
	err    error
}

func done(items []*item) int {
	return count(items, func(i *item) bool { return i.sent })
}

func loose(items []*item) int {
	return count(items, func(i *item) bool { return i.sent && i.loose })
}

func count(items []*item, is func(*item) bool) int {
	n := 0
	for _, item := range items {
		if is(item) {
			n++
		}
	}
	return n
}

type bulk struct {
	Entities []entity `json:"entities"`
}

func bulkOf(items []*item) bulk {
	var b bulk
	for _, item := range items {
		b.Entities = append(b.Entities, item.entity)
	}
	return b
}

func bulkPath(blueprint string) string {
	return Path("v1", "blueprints", blueprint, "entities", "bulk")
}

// upserting is the query that creates what is new and changes of the rest what is sent, and nothing else.
func upserting() url.Values {
	return url.Values{"upsert": {"true"}, "merge": {"true"}, "create_missing_related_entities": {"false"}}
}

// upsert makes one attempt to send items. What became of each is in the item; the error is that of a portal that takes nothing, for all
// items that neither arrived nor were refused.
func (s *Sink) upsert(ctx context.Context, blueprint string, items []*item) error {
	for left := items; len(left) > 0; left = loosen(left) {
		for _, part := range parts(left) {
			if err := s.post(ctx, blueprint, part); err != nil {
				giveUp(items, err)
				return err
			}
		}
	}
	for _, item := range items {
		if item.err != nil {
			item.err = final(item.err)
		}
	}
	return nil
}

// giveUp leaves to a later attempt what was not settled by this one.
func giveUp(items []*item, err error) {
	for _, item := range items {
		if !item.sent && (item.err == nil || dangles(item)) {
			item.err = err
		}
	}
}

// parts splits items so that Port takes each part at once.
func parts(items []*item) [][]*item {
	var all [][]*item
	size := 0
	for _, item := range items {
		weight := weigh(item)
		if len(all) == 0 || len(all[len(all)-1]) == maxEntities || size+weight > maxBody-envelope {
			all, size = append(all, nil), 0
		}
		all[len(all)-1] = append(all[len(all)-1], item)
		size += weight
	}
	return all
}

// weigh is the length of an item with its comma. What cannot be encoded weighs nothing; it is refused when it is sent.
func weigh(item *item) int {
	body, err := json.Marshal(item.entity)
	if err != nil {
		return 0
	}
	return len(body) + 1
}

// post makes one call, or more of what is refused as a whole, until it is clear which entities were meant.
func (s *Sink) post(ctx context.Context, blueprint string, items []*item) error {
	var answer bulkAnswer
	err := s.client.Do(ctx, http.MethodPost, bulkPath(blueprint), upserting(), bulkOf(items), &answer)
	switch {
	case err == nil:
		for i, verdict := range s.verdicts(answer, len(items)) {
			items[i].sent, items[i].err = verdict == nil, verdict
		}
		return nil
	case sink.IsPermanent(err) && len(items) > 1:
		half := len(items) / 2
		if err := s.post(ctx, blueprint, items[:half]); err != nil {
			return err
		}
		return s.post(ctx, blueprint, items[half:])
	case isNotFound(err):
		return s.notFound(ctx, blueprint, items, err)
	case sink.IsPermanent(err):
		items[0].err = err
		return nil
	}
	return err
}

// notFound tells a missing blueprint from what an entity is related to.
func (s *Sink) notFound(ctx context.Context, blueprint string, items []*item, err error) error {
	s.schemas.forget(blueprint)
	if _, err := s.schemas.of(ctx, blueprint); err != nil {
		return err
	}
	for _, item := range items {
		item.err = err
	}
	return nil
}

// loosen are the items that were refused and may be taken without one of their relations, which they have lost now.
func loosen(items []*item) []*item {
	var again []*item
	for _, item := range items {
		if !dangles(item) {
			continue
		}
		item.loose = item.loose || item.drop[0] == RelationService
		delete(item.entity.Relations, item.drop[0])
		item.drop, item.err = item.drop[1:], nil
		again = append(again, item)
	}
	return again
}

// dangles tells whether an item was refused as one is that is related to something unknown.
func dangles(item *item) bool {
	problem, ok := errors.AsType[*Error](item.err)
	return ok && len(item.drop) > 0 && slices.Contains([]int{http.StatusNotFound, http.StatusUnprocessableEntity}, problem.Status)
}

// final makes an entity wait no longer that is not found though its blueprint is there and it is related to nothing: no time mends that, and
// the later events of its service would wait behind it.
func final(err error) error {
	problem, ok := errors.AsType[*Error](err)
	if !ok || problem.Status != http.StatusNotFound || sink.ReasonOf(err) == sink.BlueprintMissing {
		return err
	}
	return &sink.PermanentError{Err: sink.Because(sink.Refused, problem)}
}

// bulkAnswer is what Port says of many entities, with 200 or 207. Indexes are numbers in Port's schema.
type bulkAnswer struct {
	Entities []struct {
		Index *float64 `json:"index"`
	} `json:"entities"`
	Errors []struct {
		Index      *float64 `json:"index"`
		StatusCode float64  `json:"statusCode"`
		Error      string   `json:"error"`
		Message    string   `json:"message"`
	} `json:"errors"`
	trace string
}

func (a *bulkAnswer) traced(id string) { a.trace = id }

// verdicts are the errors of n entities, by their index: what Port names by its identifier may be named "unknown". An entity that the
// answer says nothing of did not arrive.
func (s *Sink) verdicts(answer bulkAnswer, n int) []error {
	all := make([]error, n)
	for i := range all {
		err := errors.New("the answer of Port says nothing of this entity")
		all[i] = &sink.RetryableError{Err: sink.Because(sink.Failing, err)}
	}
	for _, taken := range answer.Entities {
		if i, ok := at(taken.Index, n); ok {
			all[i] = nil
		}
	}
	for _, refused := range answer.Errors {
		if i, ok := at(refused.Index, n); ok {
			all[i] = s.verdict(refused.StatusCode, refused.Error, refused.Message, answer.trace)
		}
	}
	return all
}

// at is an index, if it is one.
func at(index *float64, n int) (int, bool) {
	if index == nil || *index < 0 || *index >= float64(n) || *index != math.Trunc(*index) {
		return 0, false
	}
	return int(*index), true
}

// verdict is the error of one entity of many.
func (s *Sink) verdict(status float64, code, message, trace string) error {
	answer := &http.Response{Header: http.Header{}}
	if status >= http.StatusMultipleChoices && status < 600 {
		answer.StatusCode = int(status)
	}
	problem := &Error{
		Status: answer.StatusCode, Code: s.client.quote(code), Message: s.client.quote(message), TraceID: trace,
		said: "the destination said of the entity " + sink.Status(answer),
	}
	if answer.StatusCode == 0 {
		problem.said = fmt.Sprintf("the destination refused the entity with the status %v", status)
	}
	return classify(sink.Judge(answer), problem, true)
}
