package filter

import (
	"maps"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

// standard are the functions of CEL's specification, its "List of Standard Definitions": each makes its result of its arguments alone. A time
// is read from a text or a number; none of them is now.
const standard = `!_ -_ _!=_ _%_ _&&_ _*_ _+_ _-_ _/_ _<=_ _<_ _==_ _>=_ _>_ _?_:_ _[_] _||_ @in in _in_ bool bytes contains double duration dyn endsWith getDate
	getDayOfMonth getDayOfWeek getDayOfYear getFullYear getHours getMilliseconds getMinutes getMonth getSeconds int matches size startsWith string timestamp type uint
	@not_strictly_false __not_strictly_false__`

func TestOnlyStandardFunctions(t *testing.T) {
	g := NewWithT(t)
	env, err := environment()
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(slices.Sorted(maps.Keys(env.Functions()))).To(ConsistOf(strings.Fields(standard)))
	for _, text := range []string{"now() == now()", `env("HOME") == ""`, "random() > 0.5", `read("/etc/passwd") == ""`} {
		_, err := New(text)
		g.Expect(err).To(MatchError(ContainSubstring("undeclared reference")), text)
	}
}
