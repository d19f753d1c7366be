package python_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"

	"packagecloud/internal/format/python/pytest"
)

func sha(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// maker makes odd wheels from the metadata of real ones and from grammars.
type maker struct {
	*rand.Rand
	real []string
}

func (m *maker) one(of ...string) string { return of[m.IntN(len(of))] }

// often is usually the first.
func (m *maker) often(usual string, others ...string) string {
	if m.IntN(3) > 0 {
		return usual
	}
	return m.one(others...)
}

// wheel makes the wheel with the number i of a project; its version is of that
// number alone.
func (m *maker) wheel(project string, i int) odd {
	spelled := m.often("1.%d", "1!1.%d", "v1.%d", "1.%d.0.0", "01.%d", "1.%da1", "1.%d-RC.1", "1.%d.post1", "1.%d-1", "1.%d.dev3", "1.%d+local.7", "1.%d+Ubuntu-2",
		"1.%dx", "1.%d_1", "1.%d.", "%d", "1.%d.99999999999999999999", "1.%d+x_1")
	version := fmt.Sprintf(spelled, i)
	name := m.often(project, strings.ToUpper(project), project+" ", "_"+project)
	header := "Metadata-Version: " + m.often("2.1", "1.0", "2.4", "9.9", "") + "\nName: " + name + "\nVersion: " + version + "\n"
	if m.IntN(3) == 0 {
		header += "Requires-Python: " + m.one(">=3.6", ">= 3.6 , < 4", ">=3.6.*", ">=3.x", "three", "!=2.*", "~=3.6", ">=3.6;", "===1.²", ">=3\n  ,<4", "") + "\n"
	}
	for range m.IntN(3) {
		header += "Requires-Dist: " + m.requirement() + "\n"
	}
	rest := m.real[m.IntN(len(m.real))]
	text := header + rest[strings.Index(rest, "\n")+1:] // its own Metadata-Version comes first
	text = m.mutate(text)
	stem := m.often(project, strings.ToUpper(project)) + "-" + m.often(version, strings.ReplaceAll(version, "-", "_"))
	filename := stem + "-" + m.often("py3-none-any", "py2.py3-none-any", "1-py3-none-any", "2x-py3-none-any", "py3-none-any.linux_x86_64", "py3-none.abi3-any", "x-py3-none-any", "py3.-none-any", "py3-none") + ".whl"
	info := m.often(project+"-"+strings.ReplaceAll(version, "-", "_"), project, strings.ToUpper(project)+"-"+version, project+"-"+version) + ".dist-info/"
	return odd{
		Key: project + " " + version, Requirement: project + "==" + version, Filename: filename, metadata: text,
		body: pytest.WheelOf(info, text, project+".py", ""),
	}
}

// requirement is one of PEP 508, or nearly.
func (m *maker) requirement() string {
	text := m.often("six", "a.b-c", "x[a, b]", "x[]", "x[a,]", "-x", "x y", "é")
	text += m.often("", " >=1.0", ">=1.0,<2", " (>=1.0)", " (>=1.0", ">=1.0)", "~=1", "~=1.0", "==1.*", ">=1.*", "===any", " == 1.0+local", ">=1.0+local", " @ https://example.com/x.whl", ">=dev", "=>1", ">=1,", ">=1,,<2", "!=1.0 <2")
	return text + m.often("", "; python_version<'3'", " ; extra == \"test\"", "; (os_name=='nt' or sys.platform == 'x') and python_version not in '2.7'", ";", "; python_version", "; unknown=='1'", "; 'a'=='b'", "; python_version<3", "; extra=='a' and")
}

// mutate damages a text in one of the ways that tools do.
func (m *maker) mutate(text string) string {
	at := m.IntN(len(text))
	switch m.IntN(24) {
	case 0:
		return strings.ReplaceAll(text, "\n", "\r\n")
	case 1:
		return "\xef\xbb\xbf" + text
	case 2:
		return text[:at] + "\xe9" + text[at:]
	case 3:
		return "Author: Andr\u00e9\n" + text
	case 4:
		return text[:at] + "\n" + text[at:]
	case 5:
		return text[:at] + text[at:][min(len(text)-at, m.IntN(40)):]
	case 6:
		return strings.Replace(text, "\n", "\nLicense: a\nb c d\n", 1)
	case 7:
		return "X: " + strings.Repeat("y", 100_000) + "\n" + text
	case 8:
		return " folded\n" + text
	case 9:
		return ": nothing\n" + text
	case 10:
		return text[:at] + "\r" + text[at:]
	case 11:
		return text[:at] + "\x00" + text[at:]
	case 12:
		return "From somebody\n" + text
	}
	return text
}
