package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"packagecloud/internal/client"
	"packagecloud/internal/repo"
)

// errNoURL says that nothing tells which server is meant. There is no default:
// it would send the token of one server to another.
var errNoURL = errors.New("which server? Set PACKAGECLOUD_URL along with PACKAGECLOUD_TOKEN, or give --url")

// configFile is the user's configuration file.
type configFile struct {
	URL   string `json:"url,omitempty"`
	Token string `json:"token,omitempty"`
}

// maxConfig bounds the configuration file, in bytes.
const maxConfig = 1 << 20

// configure gives the client its server and token: from the file of --config, else
// from the environment, else from the user's file, else by asking.
func (c *cli) configure(ctx context.Context, api *client.Client) error {
	given := c.config != ""
	if given {
		_, err := os.Stat(c.config)
		given = !errors.Is(err, fs.ErrNotExist)
	}
	if token, ok := os.LookupEnv("PACKAGECLOUD_TOKEN"); ok && !given {
		if len(token) < repo.TokenLength {
			return fmt.Errorf("found PACKAGECLOUD_TOKEN environment variable but is empty or too short: a token has %d characters", repo.TokenLength)
		}
		return c.use(api, configFile{URL: os.Getenv("PACKAGECLOUD_URL"), Token: token})
	}
	path := c.config
	if path == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return fmt.Errorf("find your configuration file: %w", err)
		}
		path = filepath.Join(home, ".packagecloud")
	}
	file, err := readConfig(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c.login(ctx, api, path)
	}
	if err != nil {
		return err
	}
	if file.Token == "" {
		return fmt.Errorf("%s has no token: remove the file to log in again", path)
	}
	if file.URL == "" && c.url != "" {
		file.URL = c.url
		if err := file.write(path); err != nil {
			return err
		}
	}
	return c.use(api, file)
}

// use takes a configuration. --url goes before its URL.
func (c *cli) use(api *client.Client, file configFile) error {
	file.URL = cmp.Or(c.url, file.URL)
	if file.URL == "" {
		return errNoURL
	}
	u, err := client.ParseURL(file.URL)
	if err != nil {
		return err
	}
	api.URL, api.Token = u, file.Token
	last := file.Token[max(0, len(file.Token)-4):]
	if len(file.Token) < repo.TokenLength { // it would show too much of it
		last = ""
	}
	c.say("Using %s with token:******%s\n", u, last)
	return nil
}

// login asks for address and password until the server knows them, and keeps
// the token.
func (c *cli) login(ctx context.Context, api *client.Client, path string) error {
	if c.url == "" {
		return fmt.Errorf("there is no %s: %w", path, errNoURL)
	}
	u, err := client.ParseURL(c.url)
	if err != nil {
		return err
	}
	api.URL = u
	c.say("No config file exists at %s. Login to create one.\n", path)
	for api.Token == "" {
		email, err := c.in.line(ctx, "Email: ")
		if err != nil {
			return fmt.Errorf("log in: %w", err)
		}
		password, err := c.in.secret(ctx, "Password: ")
		if err != nil {
			return fmt.Errorf("log in: %w", err)
		}
		token, err := api.APIToken(ctx, email, password)
		if errors.Is(err, repo.ErrUnauthenticated) {
			c.say("That is not right. Try again.\n")
			continue
		}
		if err != nil {
			return fmt.Errorf("log in to %s: %w", u, err)
		}
		api.Token = token
	}
	c.say("Got your token. Writing a config file to %s... ", path)
	if err := (configFile{URL: u.String(), Token: api.Token}).write(path); err != nil {
		return c.failed(err)
	}
	c.say("success!\n")
	return nil
}

func readConfig(path string) (configFile, error) {
	var file configFile
	f, err := os.Open(path)
	if err != nil {
		return file, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return file, fmt.Errorf("read %s: %w", path, err)
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return file, fmt.Errorf(`read %s: it must be JSON like {"url":"https://packages.example.com","token":"..."}: %w`, path, err)
	}
	return file, nil
}

// write puts the file in place, for its owner alone. It ends with CRLF, as
// packagecloud's own client writes it.
func (f configFile) write(path string) error {
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".packagecloud-*") // with mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	_, err = temporary.Write(append(text, "\r\n"...))
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(temporary.Name()))
	}
	return nil
}
