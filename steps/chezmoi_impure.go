package steps

import (
	"path/filepath"
	"slices"
	"strings"

	"movein/bootstrap/host"
)

// impureWords are template functions whose result may change while no file of the
// source, the config or the home does: they look at programs, other files, the
// clock, chance or the network. Functions of password managers are not among them.
var impureWords = strings.Fields(`output outputList exec stat lstat lookPath findExecutable findOneExecutable isExecutable glob
	now ago date dateInZone htmlDate unixEpoch randAlpha randAlphaNum randNumeric randAscii randInt randBytes uuidv4 shuffle
	genPrivateKey genCA genCAWithKey genSelfSignedCert genSelfSignedCertWithKey genSignedCert genSignedCertWithKey
	bcrypt htpasswd encrypt encryptAES getHostByName getRedirectedURL env expandenv ioreg stdinIsATTY
	gitHubKeys gitHubLatestRelease gitHubLatestReleaseAssetURL gitHubLatestTag gitHubRelease gitHubReleaseAssetURL gitHubReleases gitHubTags gitHubVersion`)

// sameEnv are variables that chezmoi always has with the same value for one user.
var sameEnv = []string{"HOME", "USER", "LOGNAME"}

// impure says why an answer of chezmoi cannot be known to hold while no file
// changes; "" if it can:
//
//   - a template uses one of impureWords (but env of sameEnv), or includes a file
//     from outside of the source, or a name that is no literal;
//   - a template has its own delimiters, and is not read here;
//   - a modify_ program makes a file: it may look at anything (a modify-template is a template);
//   - an external is fetched again after a time (refreshPeriod);
//   - the config has hooks, which are programs.
//
// What a script does is not looked at; what its template does is.
func (z chezmoi) impure(v host.View, files []string) string {
	for _, format := range chezmoiFormats {
		if name := z.configFile(format); strings.Contains(strings.ToLower(readText(v, name)), "hooks") {
			return name + " has hooks"
		}
	}
	// Any file may be a template that another has in it.
	embedded := slices.ContainsFunc(files, func(file string) bool { return strings.Contains(readText(v, file), "includeTemplate") })
	for _, file := range files {
		base := filepath.Base(file)
		rel := strings.TrimPrefix(file, z.root(v)+"/")
		modify := readSourceName(file).modify && strings.Contains(base, "modify_")
		special := strings.HasPrefix(base, ".chezmoiexternal") || strings.HasPrefix(rel, ".chezmoiexternals/")
		template := special || strings.HasSuffix(strings.TrimSuffix(strings.TrimSuffix(base, ".age"), ".asc"), ".tmpl") ||
			base == ".chezmoiignore" || base == ".chezmoiremove" || strings.HasPrefix(rel, ".chezmoitemplates/")
		if !template && !modify && !embedded || strings.HasPrefix(rel, ".chezmoi.") {
			continue
		}
		text := readText(v, file)
		switch {
		case modify && !template && !strings.Contains(text, "chezmoi:modify-template"):
			return rel + " is a program"
		case strings.Contains(text, "chezmoi:template:"):
			return rel + " has its own delimiters"
		case special && strings.Contains(text, "refreshPeriod"):
			return rel + " is fetched again after a time"
		case strings.Contains(text, "fqdnHostname"):
			return rel + " uses fqdnHostname"
		}
		if word := impureWord(text); word != "" {
			return rel + " uses " + word
		}
	}
	return ""
}

// impureWord is the first function in a template that is impure; "" if none is.
func impureWord(template string) string { return calls(template, impureWords) }

// calls is the first function of words that a template calls, or what reads a file
// from outside of the source, or one that is not named by a literal; "" if it does
// neither. env of sameEnv is no call.
func calls(template string, words []string) string {
	for _, action := range actions(template) {
		for i, t := range action {
			if t.kind != word {
				continue
			}
			next := token{}
			if i+1 < len(action) {
				next = action[i+1]
			}
			inside := next.kind == literal && next.text != "" && !filepath.IsAbs(next.text) && !strings.HasPrefix(next.text, "~") && !slices.Contains(strings.Split(next.text, "/"), "..")
			switch {
			case t.text == "env" && next.kind == literal && slices.Contains(sameEnv, next.text):
			case (t.text == "include" || t.text == "includeTemplate") && !inside, slices.Contains(words, t.text):
				return t.text
			}
		}
	}
	return ""
}

// literalRemoves are the paths in a .chezmoiremove, to be watched; not ok if it has
// patterns, whose matches would have to be looked for, or is made by a template.
func literalRemoves(text string) (watch []string, ok bool) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if strings.ContainsAny(line, "*?[]{}!\\") {
			return nil, false
		}
		watch = append(watch, "d"+line)
	}
	return watch, true
}
