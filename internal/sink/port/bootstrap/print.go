package bootstrap

import (
	"fmt"
	"io"
	"strings"
	"unicode"
)

// what Print says of an action.
var said = map[Action]string{
	Create: "to be created", Patch: "to be completed", Keep: "there, and left as it is", Differs: "left as it is, and not as it has to be",
}

// Print writes a plan for people. The same plan is the same text.
func Print(out io.Writer, plan []Step) error {
	var text strings.Builder
	count := map[Action]int{}
	conflicts := 0
	for i := range plan {
		step := &plan[i]
		count[step.Action]++
		conflicts += len(step.Conflicts)
		fmt.Fprintf(&text, "%s: %s\n", step, said[step.Action])
		for _, line := range step.Additions {
			fmt.Fprintf(&text, "  %s\n", printable(line))
		}
		for _, line := range step.Notes {
			fmt.Fprintf(&text, "  ~ %s\n", printable(line))
		}
		for _, line := range step.Conflicts {
			fmt.Fprintf(&text, "  ! %s\n", printable(line))
		}
	}
	fmt.Fprintf(&text, "%d to create, %d to complete, %d there; %d in conflict, to be mended by hand\n",
		count[Create], count[Patch], count[Keep], conflicts)
	if _, err := io.WriteString(out, text.String()); err != nil {
		return fmt.Errorf("cannot print the plan: %w", err)
	}
	return nil
}

// printable leaves blanks in the place of what a terminal would obey: blueprints are what somebody wrote into a portal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
}

// Conflicts says how many things of a plan somebody has to mend.
func Conflicts(plan []Step) int {
	n := 0
	for i := range plan {
		n += len(plan[i].Conflicts)
	}
	return n
}
