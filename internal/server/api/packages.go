package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"

	"packagecloud/internal/auth"
	"packagecloud/internal/db"
	"packagecloud/internal/repo"
)

// fragmentJSON is a package in lists.
type fragmentJSON struct {
	Name           string    `json:"name"`
	DistroVersion  string    `json:"distro_version"`
	CreatedAt      timestamp `json:"created_at"`
	Version        string    `json:"version"`
	Release        *string   `json:"release"`
	Epoch          *int64    `json:"epoch"`
	Scope          *string   `json:"scope"`
	Private        bool      `json:"private"`
	Type           repo.Type `json:"type"`
	Filename       string    `json:"filename"`
	UploaderName   string    `json:"uploader_name"`
	Indexed        bool      `json:"indexed"`
	Withheld       string    `json:"withheld,omitempty"`
	SHA256         *string   `json:"sha256sum"`
	Architecture   string    `json:"architecture"`
	RepositoryHTML string    `json:"repository_html_url"`
	PackageURL     string    `json:"package_url"`
	PackageHTML    string    `json:"package_html_url"`
	// Downloads are not counted. Clients expect the keys, whose value is null where
	// something is not known.
	DownloadsDetail *string `json:"downloads_detail_url"`
	DownloadsSeries *string `json:"downloads_series_url"`
	DownloadsCount  *string `json:"downloads_count_url"`
	DownloadURL     string  `json:"download_url"`
	PromoteURL      string  `json:"promote_url"`
	DestroyURL      string  `json:"destroy_url"`
}

// detailsJSON is a package alone.
type detailsJSON struct {
	fragmentJSON
	Repository    string              `json:"repository"`
	Size          string              `json:"size"`
	Summary       *string             `json:"summary"`
	Description   *string             `json:"description"`
	Dependencies  []repo.Dependencies `json:"dependencies"`
	MD5           *string             `json:"md5sum"`
	SHA1          *string             `json:"sha1sum"`
	SHA512        *string             `json:"sha512sum"`
	Licenses      []string            `json:"licenses"`
	RepositoryURL string              `json:"repository_url"`
	SelfURL       string              `json:"self_url"`
	// IndexError is why the package is not indexed, where publishing fails.
	IndexError     string `json:"index_error,omitempty"`
	VersionsURL    string `json:"versions_url"`
	TotalDownloads *int64 `json:"total_downloads_count"` // see DownloadsCount
}

// orNull is nil for an empty text.
func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// split takes the Debian revision off a version: the API shows it apart.
func split(p *repo.Package) (version, release string) {
	if i := strings.LastIndexByte(p.Version, '-'); i > 0 && (p.Type == repo.Deb || p.Type == repo.Dsc) {
		return p.Version[:i], p.Version[i+1:]
	}
	return p.Version, p.Release
}

// packagePath is the API path of a package, without .json.
func packagePath(r repo.Repository, p *repo.Package) string {
	segments := []string{string(p.Type), p.Distro.OS, p.Distro.Version, p.Name, p.Architecture, p.Version}
	if p.Architecture == "" { // what is made for no machine
		segments = []string{string(p.Type), p.Name, p.Version}
	}
	if p.Release != "" {
		segments = append(segments, p.Release)
	}
	return self(r) + "/package" + join(segments...)
}

// versionsPath is the API path of the versions of a package's name.
func versionsPath(r repo.Repository, t repo.Type, os, version, name, architecture string) string {
	if architecture == "" {
		return self(r) + "/package" + join(string(t), name) + "/versions.json"
	}
	return self(r) + "/package" + join(string(t), os, version, name, architecture) + "/versions.json"
}

func (a *API) fragment(ctx context.Context, r repo.Repository, p *repo.Package) (fragmentJSON, error) {
	download, err := a.downloadURL(ctx, r, p)
	version, release := split(p)
	api, file := packagePath(r, p), join(p.Distro.OS, p.Distro.PathVersion(), p.Filename())
	scope := ""
	if p.Namespace != "" {
		scope = "?scope=" + url.QueryEscape(p.Namespace)
	}
	v := fragmentJSON{
		Name: p.Name, DistroVersion: p.Distro.String(), CreatedAt: timestamp(p.CreatedAt), Version: version, Release: orNull(release),
		Epoch: p.Epoch, Scope: orNull(p.Namespace), Private: r.Private, Type: p.Type, Filename: p.Filename(), UploaderName: p.Uploader, Indexed: p.Indexed, Withheld: p.Withheld,
		SHA256: orNull(p.Files[0].SHA256), Architecture: p.Architecture,
		RepositoryHTML: join(r.Owner, r.Name), PackageURL: api + ".json", PackageHTML: join(r.Owner, r.Name, "packages") + file + scope,
		DownloadURL: download,
		PromoteURL:  self(r) + file + "/promote.json" + scope, DestroyURL: self(r) + file + scope,
	}
	return v, err
}

func (a *API) details(ctx context.Context, r repo.Repository, p *repo.Package) (detailsJSON, error) {
	f, err := a.fragment(ctx, r, p)
	file := p.Files[0]
	v := detailsJSON{
		fragmentJSON: f, Repository: r.Name, Size: strconv.FormatInt(file.Size, 10), Summary: orNull(p.Summary), Description: orNull(p.Description),
		Dependencies: p.Dependencies, MD5: orNull(file.MD5), SHA1: orNull(file.SHA1), SHA512: orNull(file.SHA512), Licenses: p.Licenses,
		RepositoryURL: self(r), SelfURL: f.PackageURL,
		VersionsURL: versionsPath(r, p.Type, p.Distro.OS, p.Distro.Version, p.Name, p.Architecture),
	}
	if p.Type == repo.Dsc { // as packagecloud shows them
		v.Size += ".0"
		v.MD5, v.SHA1, v.SHA256, v.SHA512 = nil, nil, nil, nil
	}
	if err == nil && !p.Indexed {
		v.IndexError, err = a.indexError(ctx, p)
	}
	return v, err
}

// indexError is why a package waits, where the publication of its scope fails.
func (a *API) indexError(ctx context.Context, p *repo.Package) (string, error) {
	s, err := a.DB.ScopeByID(ctx, p.ScopeID)
	if err != nil || s.Failures == 0 {
		return "", err
	}
	return fmt.Sprintf("%s could not be published %d times in a row, the last time because: %s", s.Distro, s.Failures, s.LastError), nil
}

// downloadURL is complete in itself: that of a private repository has a read
// token in it.
func (a *API) downloadURL(ctx context.Context, r repo.Repository, p *repo.Package) (string, error) {
	u := *a.URL
	if r.Private {
		token, err := a.downloadToken(ctx, r)
		if err != nil {
			return "", err
		}
		u.User = auth.Userinfo(token)
	}
	query := url.Values{"distro_version_id": {strconv.FormatInt(p.Distro.ID, 10)}}
	if p.Namespace != "" {
		query.Set("scope", p.Namespace)
	}
	return u.String() + join(r.Owner, r.Name, "packages", p.Distro.OS, p.Distro.PathVersion(), p.Filename()) +
		"/download" + join(path.Ext(p.Filename()))[1:] + "?" + query.Encode(), nil
}

// downloadTokenName names the read token in the download URLs of the API.
const downloadTokenName = "download URLs of the API"

// downloadTokens remembers the read tokens of download URLs, one for each
// repository. None is given out that auth does not know any more, so that one
// that another node revoked is shown no longer than auth believes in it.
type downloadTokens struct {
	mu     *sync.Mutex
	values map[int64]string
}

func newDownloadTokens() downloadTokens {
	return downloadTokens{new(sync.Mutex), make(map[int64]string)}
}

// forget drops what may have been revoked.
func (d downloadTokens) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.values)
}

func (a *API) downloadToken(ctx context.Context, r repo.Repository) (string, error) {
	a.downloads.mu.Lock()
	value := a.downloads.values[r.ID]
	a.downloads.mu.Unlock()
	if value != "" {
		if g, err := a.Auth.Grant(ctx, value); err == nil && g.RepositoryID == r.ID {
			return value, nil
		}
	}
	var rt repo.ReadToken
	err := a.DB.Update(ctx, func(tx *db.Tx) error {
		masters, err := tx.MasterTokens(ctx, r.ID)
		if err != nil {
			return err
		}
		for _, m := range masters {
			if m.Name == repo.DefaultMasterToken {
				rt, _, err = auth.EnsureReadToken(ctx, tx, a.Sealer, m.ID, downloadTokenName, a.Now())
				return err
			}
		}
		return fmt.Errorf("default master token of %s: %w", r.FullName(), repo.ErrNotFound)
	})
	if err != nil {
		return "", err
	}
	a.downloads.mu.Lock()
	defer a.downloads.mu.Unlock()
	a.downloads.values[r.ID] = rt.Value
	return rt.Value, nil
}

// writePackages answers with a page of selected packages.
func (a *API) writePackages(w http.ResponseWriter, r *http.Request, c *call, sel db.Selection, pg db.Page) error {
	sel.RepositoryID = c.repository.ID
	packages, total, err := a.DB.Packages(r.Context(), sel, pg)
	if err != nil {
		return err
	}
	list := make([]fragmentJSON, 0, len(packages))
	for i := range packages {
		v, err := a.fragment(r.Context(), c.repository, &packages[i])
		if err != nil {
			return err
		}
		list = append(list, v)
	}
	return a.writePage(w, r, list, pg, total)
}

func (a *API) listPackages(w http.ResponseWriter, r *http.Request, c *call) error {
	p, err := readParams(w, r)
	if err != nil {
		return err
	}
	return a.writePackages(w, r, c, a.filtered(p), page(p))
}

// filterTypes are the words of the parameter filter beside the types themselves.
var filterTypes = map[string]repo.Type{
	"all": "", "debs": repo.Deb, "dscs": repo.Dsc, "rpms": repo.RPM, "gems": "gem", "jar": "java", "jars": "java", "py": repo.Python, "npm": repo.Node,
	"apk": "alpine", "apks": "alpine", "charts": "helm", "anyfiles": repo.Anyfile,
}

// filterType is the package type that a word means, in the path of a list or in
// the parameter filter. A word that nobody knows is a type of which there are no
// packages: a client that deletes what is listed must not get all of them.
func filterType(word string) repo.Type {
	word = strings.ToLower(word)
	if t, ok := filterTypes[word]; ok {
		return t
	}
	return repo.Type(word)
}

// filtered reads the parameters that all lists of packages know.
func (a *API) filtered(p params) db.Selection {
	sel := db.Selection{Contains: p.get("q"), Architecture: p.get("arch"), SHA256: strings.ToLower(p.get("sha256"))}
	dist := p.get("dist")
	if dist == "" { // else it overrides filter
		sel.Type = filterType(p.get("filter"))
		return sel
	}
	sel.OS, sel.Version, _ = strings.Cut(dist, "/")
	if v, ok := a.Catalog().Find(sel.OS, sel.Version); ok {
		sel.OS, sel.Version = v.OS, v.Version
	}
	return sel
}

// segment is a segment of the path; a "*" stands for everything.
func segment(r *http.Request, name string) string {
	if v := r.PathValue(name); v != "*" {
		return v
	}
	return ""
}

// listNames lists package names with the number of their versions.
func (a *API) listNames(w http.ResponseWriter, r *http.Request, c *call) error {
	p, err := readParams(w, r)
	if err != nil {
		return err
	}
	pg := page(p)
	sel := db.Selection{
		RepositoryID: c.repository.ID, Type: filterType(segment(r, "type")),
		OS: segment(r, "distro"), Version: segment(r, "version"), Architecture: segment(r, "arch"),
	}
	names, total, err := a.DB.PackageVersions(r.Context(), sel, pg)
	if err != nil {
		return err
	}
	type versionsJSON struct {
		Name           string `json:"name"`
		Count          int64  `json:"versions_count"`
		VersionsURL    string `json:"versions_url"`
		RepositoryURL  string `json:"repository_url"`
		RepositoryHTML string `json:"repository_html_url"`
	}
	list := make([]versionsJSON, 0, len(names))
	for _, n := range names {
		list = append(list, versionsJSON{
			Name: n.Name, Count: n.Count, VersionsURL: versionsPath(c.repository, n.Type, n.OS, n.Version, n.Name, n.Architecture),
			RepositoryURL: self(c.repository), RepositoryHTML: join(c.repository.Owner, c.repository.Name),
		})
	}
	return a.writePage(w, r, list, pg, total)
}

// selection is the package that a path names, all versions of it.
func selection(r *http.Request, c *call) db.Selection {
	return db.Selection{
		RepositoryID: c.repository.ID, Type: filterType(r.PathValue("type")), OS: r.PathValue("distro"), Version: r.PathValue("version"),
		Name: r.PathValue("name"), Architecture: r.PathValue("arch"),
	}
}

func (a *API) listVersions(w http.ResponseWriter, r *http.Request, c *call) error {
	p, err := readParams(w, r)
	if err != nil {
		return err
	}
	return a.writePackages(w, r, c, selection(r, c), page(p))
}

func (a *API) showPackage(w http.ResponseWriter, r *http.Request, c *call) error {
	sel := selection(r, c)
	sel.PackageVersion, sel.Release = r.PathValue("pkgversion"), r.PathValue("release")
	// An epoch may stand in front, as package managers write it.
	if epoch, version, ok := strings.Cut(sel.PackageVersion, ":"); ok && strings.Trim(epoch, "0123456789") == "" {
		sel.PackageVersion = version
	}
	p, err := a.DB.Package(r.Context(), sel)
	if err != nil {
		return err
	}
	return a.writeDetails(w, r, c, http.StatusOK, &p)
}

func (a *API) writeDetails(w http.ResponseWriter, r *http.Request, c *call, status int, p *repo.Package) error {
	v, err := a.details(r.Context(), c.repository, p)
	if err != nil {
		return err
	}
	return WriteJSON(w, status, v)
}

// onPackage runs what is done to the package that a path names by its file name,
// and the parameter scope by its namespace. One that is not there, or not there
// any more, is told in a body whose fields clients print.
func (a *API) onPackage(do func(http.ResponseWriter, *http.Request, *call, params, *repo.Package) error) func(http.ResponseWriter, *http.Request, *call) error {
	return func(w http.ResponseWriter, r *http.Request, c *call) error {
		params, err := readParams(w, r)
		if err != nil {
			return err
		}
		p, err := a.named(r, c, params)
		if err == nil {
			err = do(w, r, c, params, &p)
		}
		if errors.Is(err, repo.ErrNotFound) {
			return WriteJSON(w, http.StatusNotFound, map[string][]string{"filename": {"not found"}})
		}
		return err
	}
}

// named finds the package that a path names.
func (a *API) named(r *http.Request, c *call, p params) (repo.Package, error) {
	os, version := r.PathValue("distro"), r.PathValue("version")
	namespace := cmp.Or(r.PathValue("group"), p.get("scope", "group"))
	v, ok := a.Catalog().Find(os, cmp.Or(version, unversioned))
	if ok {
		os, version = v.OS, v.Version
	}
	// A file may be called x.json. Its destroy_url ends so.
	if r.Pattern != "" && strings.HasSuffix(r.Pattern, "{filename}") && r.Context().Value(outcomeKey{}).(*outcome).suffix != "" {
		found, err := a.DB.PackageByFilename(r.Context(), c.repository.ID, os, version, namespace, r.PathValue("filename")+suffix)
		if !errors.Is(err, repo.ErrNotFound) {
			return found, err
		}
	}
	return a.DB.PackageByFilename(r.Context(), c.repository.ID, os, version, namespace, r.PathValue("filename"))
}

// unversioned is the version of a distribution that has but one, where a path
// leaves it out: python/x.whl.
const unversioned = "1"

// deletePackage frees the file name at once; the indexes follow.
func (a *API) deletePackage(w http.ResponseWriter, r *http.Request, _ *call, _ params, p *repo.Package) error {
	if err := a.Uploader.Remove(r.Context(), p); err != nil {
		return err
	}
	return WriteJSON(w, http.StatusOK, struct{}{})
}
