package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"movein/bootstrap"
	"movein/steps"
)

// planAs shows what would be different on a host of another kind.
func (s *session) planAs(cmd *cobra.Command, args []string, as string) error {
	if !slices.Contains(steps.Kinds, as) {
		return usage(cmd, fmt.Errorf("--as is %q, and may be one of: %s", as, strings.Join(steps.Kinds, ", ")))
	}
	if err := s.load(cmd, args, true); err != nil {
		return err
	}
	if err := s.own(cmd); err != nil {
		return err
	}
	m, err := steps.PlanAs(cmd.Context(), &s.view, &s.facts, &s.config, as)
	if err != nil {
		return err
	}
	if s.opt.json {
		return json.NewEncoder(s.io.Out).Encode(struct {
			Schema int    `json:"schema"`
			Event  string `json:"event"` // "as"
			steps.Moved
		}{bootstrap.Schema, "as", m})
	}
	from := "nothing"
	if m.From != "" {
		from = m.From
	}
	s.say("%s beside %s, evaluated and not built:\n", m.Configuration, from)
	counts := map[string]int{}
	for _, c := range m.Changes {
		counts[c.Verb]++
		line := fmt.Sprintf("  %s %-8s  %s", map[string]string{"add": "+", "remove": "-", "change": "~"}[c.Verb], c.What, c.Name)
		if c.Now != "" {
			line += " = " + c.Now
		}
		s.say("%s", line)
	}
	for _, w := range m.Warnings {
		s.say("  ! home-manager warns: %s", w)
	}
	for _, f := range m.Findings {
		s.say("  ! %s", f)
	}
	s.say("\n%d more, %d less, %d otherwise; %d findings. Nothing was changed.", counts["add"], counts["remove"], counts["change"], len(m.Findings)+len(m.Warnings))
	return nil
}
