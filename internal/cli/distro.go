package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"packagecloud/internal/client"
	"packagecloud/internal/printable"
	"packagecloud/internal/typo"
)

// catalog is the distributions there are, by kind of package.
type catalog = map[string][]client.Distribution

func distroCommand(c *cli) *cobra.Command {
	distro := &cobra.Command{Use: "distro", Short: "List distributions", Args: cobra.NoArgs, RunE: help}
	distro.AddCommand(&cobra.Command{
		Use:   "list TYPE",
		Short: "List the distributions that packages of a type can be pushed to",
		Long: `List the distributions that packages of a type can be pushed to. The types are
deb, dsc, rpm, py, jar, node, alpine, anyfile and helm, as far as the server has
them.`,
		Example:   "  package_cloud distro list deb",
		Args:      cobra.ExactArgs(1),
		ValidArgs: []string{"deb", "dsc", "rpm", "py", "jar", "node", "alpine", "anyfile", "helm"},
		RunE:      func(cmd *cobra.Command, args []string) error { return c.listDistros(cmd.Context(), args[0]) },
	})
	return distro
}

func (c *cli) listDistros(ctx context.Context, kind string) error {
	api, err := c.connect(ctx)
	if err != nil {
		return err
	}
	all, err := api.Distributions(ctx)
	if err != nil {
		return fmt.Errorf("list the distributions: %w", err)
	}
	if len(all[kind]) == 0 {
		c.say("No distributions for type %s: the types are %s.\n", kind, strings.Join(slices.Sorted(maps.Keys(all)), ", "))
		return errTold
	}
	return c.result(all[kind], func(w io.Writer) {
		printable.Fprintf(w, "Listing distributions for %s:\n", kind)
		for _, d := range all[kind] {
			printable.Fprintf(w, "\n    %s (%s):\n\n", d.IndexName, d.DisplayName)
			for _, v := range d.Versions {
				printable.Fprintf(w, "        %s (%s)\n", cmp.Or(v.IndexName, "1"), v.DisplayName)
			}
		}
	})
}

// choice is a distribution version to push to. The zero choice sends no id.
type choice struct {
	id   int64
	name string // "ubuntu/jammy"
}

// find looks for a version by the index name or the number. A distribution of
// one version needs none.
func find(all catalog, kinds []string, os, version string) (choice, bool) {
	for _, kind := range kinds {
		for _, d := range all[kind] {
			if d.IndexName != os {
				continue
			}
			for _, v := range d.Versions {
				named := version != "" && (v.IndexName == version || v.Number == version)
				alone := len(d.Versions) == 1 && (version == "" || v.IndexName == "")
				if named || alone {
					return choice{v.ID, joined(d, v)}, true
				}
			}
		}
	}
	return choice{}, false
}

func joined(d client.Distribution, v client.DistroVersion) string {
	if v.IndexName == "" {
		return d.IndexName
	}
	return d.IndexName + "/" + v.IndexName
}

// only is the sole version of some kinds.
func only(all catalog, kinds []string) (choice, bool) {
	for _, kind := range kinds {
		if list := all[kind]; len(list) == 1 && len(list[0].Versions) == 1 {
			return choice{list[0].Versions[0].ID, joined(list[0], list[0].Versions[0])}, true
		}
	}
	return choice{}, false
}

// choose decides what packages of some kinds are pushed to. Somebody at a
// terminal may choose from a menu; others are told what is near.
func (c *cli) choose(ctx context.Context, all catalog, kinds []string, distro string) (choice, error) {
	os, version, _ := strings.Cut(distro, "/")
	if found, ok := find(all, kinds, os, version); ok {
		return found, nil
	}
	if distro == "" {
		if found, ok := only(all, kinds); ok {
			return found, nil
		}
	}
	problem := fmt.Errorf("name a distribution, as in user/repo/%s", example(all, kinds))
	if distro != "" {
		problem = fmt.Errorf("unknown distribution %s for packages of type %s%s", distro, strings.Join(kinds, " or "), suggestion(near(all, kinds, os, version)))
	}
	if !c.in.terminal() || len(listed(all, kinds)) == 0 {
		return choice{}, fmt.Errorf("%w; see package_cloud distro list %s", problem, kinds[0])
	}
	c.say("%v\n", problem)
	return c.menu(ctx, listed(all, kinds))
}

func suggestion(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(names, ", ") + "?"
}

func example(all catalog, kinds []string) string {
	for _, d := range listed(all, kinds) {
		if n := len(d.Versions); n > 0 {
			return joined(d, d.Versions[n-1])
		}
	}
	return "os/version"
}

// listed are the distributions of some kinds, without the generic ones.
func listed(all catalog, kinds []string) []client.Distribution {
	var list []client.Distribution
	for _, kind := range kinds {
		for _, d := range all[kind] {
			if d.IndexName != "any" {
				list = append(list, d)
			}
		}
	}
	return list
}

// menu lets the user choose a distribution, then a version.
func (c *cli) menu(ctx context.Context, list []client.Distribution) (choice, error) {
	names := make([]string, 0, len(list))
	for _, d := range list {
		names = append(names, d.DisplayName)
	}
	i, err := c.pick(ctx, "distribution", names)
	if err != nil {
		return choice{}, err
	}
	d := list[i]
	names = names[:0]
	for _, v := range d.Versions {
		names = append(names, v.DisplayName)
	}
	if i, err = c.pick(ctx, "version", names); err != nil {
		return choice{}, err
	}
	return choice{d.Versions[i].ID, joined(d, d.Versions[i])}, nil
}

// pick asks for one of some names, by number.
func (c *cli) pick(ctx context.Context, what string, names []string) (int, error) {
	for i, n := range names {
		c.say("\t%d. %s\n", i+1, n)
	}
	for {
		text, err := c.in.line(ctx, fmt.Sprintf("Which %s (1-%d)? ", what, len(names)))
		if err != nil {
			return 0, fmt.Errorf("choose a %s: %w", what, err)
		}
		if n, err := strconv.Atoi(text); err == nil && n >= 1 && n <= len(names) {
			return n - 1, nil
		}
		c.say("%s is not a valid selection.\n", text)
	}
}

const (
	// maxNear is the most names that are suggested.
	maxNear = 5
	// maxTypos is the most letters that a name may differ in to be near.
	maxTypos = 2
)

// near lists what may have been meant: names that differ by a few letters, or
// the same version elsewhere, nearest first; else the newest versions of the
// distribution.
func near(all catalog, kinds []string, os, version string) []string {
	type scored struct {
		name  string
		typos int
	}
	var names []scored
	var newest []string
	known := slices.ContainsFunc(listed(all, kinds), func(d client.Distribution) bool { return d.IndexName == os })
	for _, d := range listed(all, kinds) {
		osTypos := typo.Distance(os, d.IndexName)
		for _, v := range d.Versions {
			n := min(typo.Distance(version, v.IndexName), typo.Distance(version, v.Number))
			switch {
			// Every short word is near every other.
			case osTypos <= min(maxTypos, len(os)/3) && n <= min(maxTypos, len(version)/3):
				names = append(names, scored{joined(d, v), osTypos + n})
			// A code name alone tells what is meant, and so does a number of an OS
			// that is called otherwise here: rocky/9 is el/9.
			case n == 0 && (len(version) > 3 || !known):
				names = append(names, scored{joined(d, v), maxTypos + 1})
			}
			if osTypos == 0 {
				newest = append(newest, joined(d, v))
			}
		}
	}
	slices.SortStableFunc(names, func(a, b scored) int { return cmp.Compare(a.typos, b.typos) })
	var result []string
	for _, s := range names[:min(len(names), maxNear)] {
		result = append(result, s.name)
	}
	if len(result) == 0 {
		slices.Reverse(newest)
		result = newest[:min(len(newest), maxNear)]
	}
	return result
}
