# Each line is wrong in its own way.
external_url = 'https://packages.example.com'
external_url
external_url "https://#{ENV['HOST']}/"
packagecloud_rails['a'] = 'https://' + host
packagecloud_rails['b'] = ENV['B'] || 'default'
packagecloud_rails['c'] = 20.gigabytes
packagecloud_rails['d'] = 'it's'
packagecloud_rails['e'] = "not closed
packagecloud_rails['f'] = 0755
packagecloud_rails['g'] = 99999999999999999999
packagecloud_rails['h'] = <<~TEXT
  packagecloud_rails['not read'] = 'text of a heredoc'
TEXT
packagecloud_rails['i'] = [1, 2
packagecloud_rails['j'] = 1 if true
packagecloud_rails['k'] ||= 1
packagecloud_rails['l'] << 'x'
packagecloud_rails['m'] = :symbol
packagecloud_rails['n'] = text
packagecloud_rails['o'] = { 'a' => 1, 'a' => 2 }
packagecloud_rails['p'] = { a, b }
packagecloud_rails['q'] =
packagecloud_rails['r']
packagecloud_rails[s] = 1
packagecloud_rails.t = 1
packagecloud_rails = { 'u' => 1 }
packagecloud_rails['v'] = true packagecloud_rails['w'] = false
packagecloud_rails['x'] = [
  'one',
  two,
  'three',
]
packagecloud_rails['y'] = %w[a b
packagecloud_rails['z'] = "\xff"
packagecloud_rails['A'] = "\u{110000}"
packagecloud_rails['B'] = ENV.fetch('NOT_SET')
packagecloud_rails['C'] = ENV[NAME]
packagecloud_rails['D'] = ENV.key?('X')
packagecloud_rails['E'] = 'a' 'b'
packagecloud_rails['F'] = 1,2
packagecloud_rails['G'] = `hostname`
packagecloud_rails['H'] = $host
packagecloud_rails['I'] = 1__0
packagecloud_rails['J'] = %W[a#{b} c]
packagecloud_rails['K'] = 1 ]
require 'socket'
def host
  Socket.gethostname
end
if ENV['X']
  packagecloud_rails['L'] = 1
else
  packagecloud_rails['L'] = 2
end
HOST = 'x'
ENV['X'] = 'y'
'https://packages.example.com'
packagecloud_rails['last'] = @host
