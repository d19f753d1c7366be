package ctl

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/mail"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"
	"golang.org/x/crypto/bcrypt"
	"golang.org/x/term"

	"packagecloud/internal/auth"
	"packagecloud/internal/clock"
	"packagecloud/internal/db"
	"packagecloud/internal/node"
	"packagecloud/internal/printable"
	"packagecloud/internal/repo"
)

// listedUser is an entry of users.yml.
type listedUser struct {
	Email          string   `yaml:"email"`
	Name           string   `yaml:"name"`
	Password       string   `yaml:"password"` // bcrypt, from encrypt-password
	Collaborations []string `yaml:"collaborations"`
	Action         string   `yaml:"action"`
}

func loadUsersCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "load-users [FILE]",
		Short: "Make the users be as users.yml says",
		Long: `Make and change users as a file says, /etc/packagecloud/users.yml unless the
configuration names another. The file is a list of

  - name: alice                      # as in repository URLs
    email: alice@example.com
    password: $2a$10$…               # from packagecloud-ctl encrypt-password
    collaborations: ["bob/tools"]    # repositories of others that she may push to
    action: delete                   # ends her access; what she pushed stays

Users that the file does not list stay as they are. API tokens of new users are
printed, once. If one entry cannot be carried out, none is.`,
		Args: cobra.MaximumNArgs(1),
		RunE: o.with(func(cmd *cobra.Command, args []string, n *node.Node) error {
			path := n.Config.UsersFile
			if len(args) == 1 {
				path = args[0]
			}
			users, err := readUsers(path)
			if err != nil {
				return err
			}
			news, err := loadUsers(cmd.Context(), n, path, users)
			if err != nil {
				return err
			}
			return o.result(cmd, news, func(w io.Writer) {
				for _, m := range news {
					printable.Fprintf(w, "%s\t%s\n", m.Name, m.Token)
				}
				printable.Fprintf(cmd.ErrOrStderr(), "%d users are as %s says.\n", len(users), path)
			})
		}),
	}
}

// readUsers reads and checks a whole file, and tells all mistakes at once.
func readUsers(path string) ([]listedUser, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the users: %w", err)
	}
	var users []listedUser
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	if err := decoder.Decode(&users); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s has a second document, behind a line ---: write one list", path)
	}
	var wrong []error
	seen := make(map[string]bool)
	for i, u := range users {
		if err := u.check(); err != nil {
			wrong = append(wrong, fmt.Errorf("%s: entry %d: %w", path, i+1, err))
		}
		if seen[u.Name] {
			wrong = append(wrong, fmt.Errorf("%s: entry %d: %s is listed twice", path, i+1, u.Name))
		}
		seen[u.Name] = true
	}
	return users, errors.Join(wrong...)
}

func (u listedUser) check() error {
	if !repo.IsName(u.Name) {
		return fmt.Errorf("%q cannot be a user name", u.Name)
	}
	if u.Action != "" && u.Action != "delete" {
		return fmt.Errorf("%s has the action %q: there is only delete", u.Name, u.Action)
	}
	if _, err := mail.ParseAddress(u.Email); err != nil && u.Action == "" {
		return fmt.Errorf("%s has no valid e-mail address: %q", u.Name, u.Email)
	}
	if u.Password != "" {
		if _, err := bcrypt.Cost([]byte(u.Password)); err != nil {
			return fmt.Errorf("the password of %s is not encrypted: write what packagecloud-ctl encrypt-password prints", u.Name)
		}
	}
	for _, c := range u.Collaborations {
		if owner, name, ok := strings.Cut(c, "/"); !ok || owner == "" || name == "" {
			return fmt.Errorf("the collaboration %q of %s is no user/repository", c, u.Name)
		}
	}
	return nil
}

// madeUser is a user that was made. Nobody is told the token again.
type madeUser struct {
	Name  string `json:"name"`
	Token string `json:"token"`
}

// loadUsers makes all users be as listed, or none: it tells all that is in the way
// at once.
func loadUsers(ctx context.Context, n *node.Node, path string, users []listedUser) (news []madeUser, err error) {
	err = n.DB.Update(ctx, func(tx *db.Tx) error {
		news = []madeUser{}
		var wrong []error
		for i, u := range users {
			token, err := loadUser(ctx, tx, n.Sealer, u)
			var invalid *repo.InvalidError
			switch {
			case errors.As(err, &invalid), errors.Is(err, repo.ErrNotFound):
				wrong = append(wrong, fmt.Errorf("%s: entry %d: user %s: %w", path, i+1, u.Name, err))
			case err != nil: // the database cannot tell more
				return err
			case token != "":
				news = append(news, madeUser{u.Name, token})
			}
		}
		if len(wrong) > 0 {
			wrong = append(wrong, errors.New("no user was made or changed"))
		}
		return errors.Join(wrong...)
	})
	return news, err
}

// loadUser makes one user be as listed. It returns the token of a new one.
func loadUser(ctx context.Context, tx *db.Tx, s auth.Sealer, u listedUser) (token string, err error) {
	account, err := tx.AccountByName(ctx, u.Name)
	missing := errors.Is(err, repo.ErrNotFound)
	switch {
	case err != nil && !missing:
		return "", err
	case missing && u.Action == "delete":
		return "", nil
	case u.Action == "delete":
		return "", tx.DisableUser(ctx, account.ID, auth.Hash(rand.Text()), clock.Now())
	case missing:
		// One that is there was made when its name was free.
		if err := repo.ValidateUserName(u.Name); err != nil {
			return "", err
		}
		account = db.Account{User: repo.User{Name: u.Name, Email: u.Email, CreatedAt: clock.Now()}, PasswordHash: u.Password}
		if token, err = auth.CreateUser(ctx, tx, s, &account); err != nil {
			return "", err
		}
	default:
		account.Email = u.Email
		if u.Password != "" {
			account.PasswordHash = u.Password
		}
		if err := tx.UpdateUser(ctx, account); err != nil {
			return "", err
		}
	}
	return token, collaborate(ctx, tx, account.ID, u.Collaborations)
}

func collaborate(ctx context.Context, tx *db.Tx, userID int64, names []string) error {
	ids := make([]int64, 0, len(names))
	for _, full := range names {
		owner, name, _ := strings.Cut(full, "/")
		r, err := tx.Repository(ctx, owner, name)
		if err != nil {
			return err
		}
		ids = append(ids, r.ID)
	}
	return tx.SetCollaborations(ctx, userID, ids)
}

func encryptPasswordCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "encrypt-password [PASSWORD]",
		Short: "Encrypt a password for users.yml",
		Long:  "Encrypt a password for users.yml. Without an argument it is asked for, which keeps it\nout of the shell's history.",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := passwordOf(cmd, args)
			if err != nil {
				return err
			}
			hash, err := encrypt(password)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), hash)
			return nil
		},
	}
}

// passwordOf takes a password from the arguments, or asks for it.
func passwordOf(cmd *cobra.Command, args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	if f, ok := cmd.InOrStdin().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		fmt.Fprint(cmd.ErrOrStderr(), "Password: ")
		secret, err := term.ReadPassword(int(f.Fd()))
		fmt.Fprintln(cmd.ErrOrStderr())
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		return string(secret), nil
	}
	line, err := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	return strings.TrimRight(line, "\r\n"), nil
}

func encrypt(password string) (string, error) {
	if len(password) < 8 {
		return "", errors.New("the password is too short: use 8 characters or more")
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(password), auth.PasswordCost)
	if err != nil {
		return "", fmt.Errorf("encrypt the password: %w", err)
	}
	return string(hash), nil
}

func resetPasswordCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "reset-password EMAIL [PASSWORD]",
		Short: "Give a user another password",
		Args:  cobra.RangeArgs(1, 2),
		RunE: o.with(func(cmd *cobra.Command, args []string, n *node.Node) error {
			password, err := passwordOf(cmd, args[1:])
			if err != nil {
				return err
			}
			hash, err := encrypt(password)
			if err != nil {
				return err
			}
			return n.DB.Update(cmd.Context(), func(tx *db.Tx) error {
				account, err := tx.AccountByEmail(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				account.PasswordHash = hash
				return tx.UpdateUser(cmd.Context(), account)
			})
		}),
	}
}

func resetTokenCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "reset-token USER",
		Short: "Give a user another API token, and print it",
		Long:  "Give a user another API token, and print it. The one before it stops working within seconds.",
		Args:  cobra.ExactArgs(1),
		RunE: o.with(func(cmd *cobra.Command, args []string, n *node.Node) error {
			issued, err := auth.Issue(n.Sealer)
			if err != nil {
				return err
			}
			err = n.DB.Update(cmd.Context(), func(tx *db.Tx) error {
				account, err := tx.AccountByName(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return tx.SetUserToken(cmd.Context(), account.ID, issued.Hash, issued.Sealed)
			})
			if err != nil {
				return err
			}
			return o.result(cmd, map[string]string{"token": issued.Value}, func(w io.Writer) { fmt.Fprintln(w, issued.Value) })
		}),
	}
}
