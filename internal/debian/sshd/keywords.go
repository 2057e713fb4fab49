package sshd

import "strings"

// kind says how the arguments of a keyword are read and which of several lines counts.
type kind byte

const (
	kUnknown     kind = iota
	kFlag             // yes or no; the first line counts, as for all kinds where nothing else is said
	kChoice           // one of a list of words
	kInt              // a number
	kTime             // a time, in seconds
	kPath             // a file name, made absolute
	kTilde            // a file name in which ~ is a home directory
	kString           // one word
	kAlgorithms       // a list of algorithms
	kAppend           // words; all lines count
	kUsers            // user patterns; all lines count
	kWords            // words; the first line counts as a whole
	kRaw              // the rest of the line as it stands
	kCommand          // the same, an absolute path or none
	kSpecial          // a function of its own, see special.go
	kDeprecated       // known, without effect, reported in the log
	kUnsupported      // known, not built in
	kIgnored          // known, silently without effect
	kInclude
	kMatch
)

// keyword is what sshd knows about a word at the start of a line.
type keyword struct {
	name    string // the name that sshd -T prints, in lower case
	kind    kind
	inMatch bool // allowed in a Match block
	carried bool // a value from a Match block replaces the global one for a connection
	list    listKind
	choices []choice
	// replacedBy is set for an old spelling: the name to use today.
	replacedBy string
}

// lookup finds a keyword in any case.
func lookup(word string, r Release) (keyword, bool) {
	w := lowerASCII(word)
	if real, ok := oldNames[w]; ok {
		k, _ := lookup(real.name, r)
		k.replacedBy = real.name
		k.inMatch = real.inMatch
		return k, true
	}
	k, ok := keywords[w]
	if !ok || onlyModern[w] && !r.modern() {
		return keyword{}, false
	}
	k.name = w
	if w == "subsystem" && !r.modern() {
		k.inMatch, k.carried = false, false
	}
	return k, true
}

// oldNames are spellings that sshd still takes for another keyword.
var oldNames = map[string]struct {
	name    string
	inMatch bool
}{
	"hostdsakey":                      {"hostkey", false},
	"hostbasedacceptedkeytypes":       {"hostbasedacceptedalgorithms", true},
	"pubkeyacceptedkeytypes":          {"pubkeyacceptedalgorithms", true},
	"dsaauthentication":               {"pubkeyauthentication", false},
	"gssapicleanupcreds":              {"gssapicleanupcredentials", false},
	"challengeresponseauthentication": {"kbdinteractiveauthentication", true},
	"skeyauthentication":              {"kbdinteractiveauthentication", true},
	"keepalive":                       {"tcpkeepalive", false},
}

// onlyModern are keywords that came after OpenSSH 9.2.
var onlyModern = map[string]bool{
	"pamservicename": true, "persourcepenalties": true, "persourcepenaltyexemptlist": true,
	"sshdsessionpath": true, "sshdauthpath": true, "refuseconnection": true,
}

var forwardingChoices = []choice{{"yes", "yes"}, {"all", "yes"}, {"no", "no"}, {"remote", "remote"}, {"local", "local"}}

var keywords = map[string]keyword{
	"usepam":                          {kind: kFlag},
	"pamservicename":                  {kind: kString, inMatch: true, carried: true},
	"pamauthenticationviakbdint":      {kind: kDeprecated},
	"port":                            {kind: kSpecial},
	"hostkey":                         {kind: kSpecial},
	"hostkeyagent":                    {kind: kSpecial},
	"pidfile":                         {kind: kPath},
	"modulifile":                      {kind: kPath},
	"serverkeybits":                   {kind: kDeprecated},
	"logingracetime":                  {kind: kTime},
	"keyregenerationinterval":         {kind: kDeprecated},
	"permitrootlogin":                 {kind: kChoice, inMatch: true, carried: true, choices: rootChoices},
	"syslogfacility":                  {kind: kSpecial},
	"loglevel":                        {kind: kSpecial, inMatch: true, carried: true},
	"logverbose":                      {kind: kWords, inMatch: true, carried: true},
	"rhostsauthentication":            {kind: kDeprecated},
	"rhostsrsaauthentication":         {kind: kDeprecated, inMatch: true},
	"hostbasedauthentication":         {kind: kFlag, inMatch: true, carried: true},
	"hostbasedusesnamefrompacketonly": {kind: kFlag, inMatch: true, carried: true},
	"hostbasedacceptedalgorithms":     {kind: kAlgorithms, list: keyList, inMatch: true, carried: true},
	"hostkeyalgorithms":               {kind: kAlgorithms, list: keyList},
	"rsaauthentication":               {kind: kDeprecated, inMatch: true},
	"pubkeyauthentication":            {kind: kFlag, inMatch: true, carried: true},
	"pubkeyacceptedalgorithms":        {kind: kAlgorithms, list: keyList, inMatch: true, carried: true},
	"pubkeyauthoptions":               {kind: kSpecial, inMatch: true, carried: true},
	"kerberosauthentication":          {kind: kFlag, inMatch: true, carried: true},
	"kerberosorlocalpasswd":           {kind: kFlag},
	"kerberosticketcleanup":           {kind: kFlag},
	"kerberosgetafstoken":             {kind: kUnsupported},
	"kerberostgtpassing":              {kind: kUnsupported},
	"afstokenpassing":                 {kind: kUnsupported},
	"gssapiauthentication":            {kind: kFlag, inMatch: true, carried: true},
	"gssapicleanupcredentials":        {kind: kFlag},
	"gssapistrictacceptorcheck":       {kind: kFlag},
	"gssapikeyexchange":               {kind: kFlag},
	"gssapistorecredentialsonrekey":   {kind: kFlag},
	"gssapikexalgorithms":             {kind: kSpecial},
	"gssusesessionccache":             {kind: kUnsupported},
	"gssapiusesessioncredcache":       {kind: kUnsupported},
	"passwordauthentication":          {kind: kFlag, inMatch: true, carried: true},
	"kbdinteractiveauthentication":    {kind: kFlag, inMatch: true, carried: true},
	"checkmail":                       {kind: kDeprecated},
	"listenaddress":                   {kind: kSpecial},
	"addressfamily":                   {kind: kChoice, choices: []choice{{"inet", "inet"}, {"inet6", "inet6"}, {"any", "any"}}},
	"printmotd":                       {kind: kFlag},
	"printlastlog":                    {kind: kFlag},
	"ignorerhosts":                    {kind: kChoice, inMatch: true, carried: true, choices: rhostsChoices},
	"ignoreuserknownhosts":            {kind: kFlag},
	"x11forwarding":                   {kind: kFlag, inMatch: true, carried: true},
	"x11displayoffset":                {kind: kInt, inMatch: true, carried: true},
	"x11uselocalhost":                 {kind: kFlag, inMatch: true, carried: true},
	"xauthlocation":                   {kind: kPath},
	"strictmodes":                     {kind: kFlag},
	"permitblacklistedkeys":           {kind: kDeprecated},
	"permitemptypasswords":            {kind: kFlag, inMatch: true, carried: true},
	"permituserenvironment":           {kind: kSpecial},
	"uselogin":                        {kind: kDeprecated},
	"compression":                     {kind: kChoice, choices: []choice{{"yes", "yes"}, {"delayed", "yes"}, {"no", "no"}}},
	"rekeylimit":                      {kind: kSpecial, inMatch: true},
	"tcpkeepalive":                    {kind: kFlag},
	"allowtcpforwarding":              {kind: kChoice, inMatch: true, carried: true, choices: forwardingChoices},
	"allowagentforwarding":            {kind: kFlag, inMatch: true, carried: true},
	"allowusers":                      {kind: kUsers, inMatch: true, carried: true},
	"denyusers":                       {kind: kUsers, inMatch: true, carried: true},
	"allowgroups":                     {kind: kAppend, inMatch: true, carried: true},
	"denygroups":                      {kind: kAppend, inMatch: true, carried: true},
	"ciphers":                         {kind: kAlgorithms, list: cipherList},
	"macs":                            {kind: kAlgorithms, list: macList},
	"protocol":                        {kind: kIgnored},
	"gatewayports":                    {kind: kChoice, inMatch: true, carried: true, choices: gatewayChoices},
	"subsystem":                       {kind: kSpecial, inMatch: true, carried: true},
	"maxstartups":                     {kind: kSpecial},
	"persourcemaxstartups":            {kind: kSpecial},
	"persourcenetblocksize":           {kind: kSpecial},
	"persourcepenalties":              {kind: kSpecial},
	"persourcepenaltyexemptlist":      {kind: kSpecial},
	"maxauthtries":                    {kind: kInt, inMatch: true, carried: true},
	"maxsessions":                     {kind: kInt, inMatch: true, carried: true},
	"banner":                          {kind: kPath, inMatch: true, carried: true},
	"usedns":                          {kind: kFlag},
	"verifyreversemapping":            {kind: kDeprecated},
	"reversemappingcheck":             {kind: kDeprecated},
	"clientaliveinterval":             {kind: kTime, inMatch: true, carried: true},
	"clientalivecountmax":             {kind: kInt, inMatch: true, carried: true},
	"authorizedkeysfile":              {kind: kWords, inMatch: true, carried: true},
	"authorizedkeysfile2":             {kind: kDeprecated, inMatch: true},
	"useprivilegeseparation":          {kind: kDeprecated},
	"acceptenv":                       {kind: kAppend, inMatch: true, carried: true},
	"setenv":                          {kind: kWords, inMatch: true, carried: true},
	"permittunnel":                    {kind: kSpecial, inMatch: true, carried: true},
	"permittty":                       {kind: kFlag, inMatch: true, carried: true},
	"permituserrc":                    {kind: kFlag, inMatch: true, carried: true},
	"match":                           {kind: kMatch, inMatch: true},
	"permitopen":                      {kind: kSpecial, inMatch: true, carried: true},
	"permitlisten":                    {kind: kSpecial, inMatch: true, carried: true},
	"forcecommand":                    {kind: kRaw, inMatch: true, carried: true},
	"chrootdirectory":                 {kind: kString, inMatch: true, carried: true},
	"hostcertificate":                 {kind: kSpecial},
	"revokedkeys":                     {kind: kPath, inMatch: true, carried: true},
	"trustedusercakeys":               {kind: kPath, inMatch: true, carried: true},
	"authorizedprincipalsfile":        {kind: kTilde, inMatch: true, carried: true},
	"kexalgorithms":                   {kind: kAlgorithms, list: kexList},
	"include":                         {kind: kInclude, inMatch: true},
	"ipqos":                           {kind: kSpecial, inMatch: true, carried: true},
	"authorizedkeyscommand":           {kind: kCommand, inMatch: true, carried: true},
	"authorizedkeyscommanduser":       {kind: kString, inMatch: true, carried: true},
	"authorizedprincipalscommand":     {kind: kCommand, inMatch: true, carried: true},
	"authorizedprincipalscommanduser": {kind: kString, inMatch: true, carried: true},
	"versionaddendum":                 {kind: kRaw},
	"authenticationmethods":           {kind: kSpecial, inMatch: true, carried: true},
	"streamlocalbindmask":             {kind: kSpecial, inMatch: true, carried: true},
	"streamlocalbindunlink":           {kind: kFlag, inMatch: true, carried: true},
	"allowstreamlocalforwarding":      {kind: kChoice, inMatch: true, carried: true, choices: forwardingChoices},
	"fingerprinthash":                 {kind: kSpecial},
	"disableforwarding":               {kind: kFlag, inMatch: true, carried: true},
	"exposeauthinfo":                  {kind: kFlag, inMatch: true, carried: true},
	"rdomain":                         {kind: kSpecial, inMatch: true},
	"casignaturealgorithms":           {kind: kAlgorithms, list: signatureList, inMatch: true, carried: true},
	"securitykeyprovider":             {kind: kSpecial},
	"requiredrsasize":                 {kind: kInt, inMatch: true, carried: true},
	"channeltimeout":                  {kind: kWords, inMatch: true, carried: true},
	"unusedconnectiontimeout":         {kind: kSpecial, inMatch: true, carried: true},
	"sshdsessionpath":                 {kind: kPath},
	"sshdauthpath":                    {kind: kPath},
	"refuseconnection":                {kind: kFlag, inMatch: true, carried: true},
	"debianbanner":                    {kind: kFlag},
}

var (
	rootChoices = []choice{
		{"without-password", "without-password"}, {"prohibit-password", "without-password"},
		{"forced-commands-only", "forced-commands-only"}, {"yes", "yes"}, {"no", "no"},
	}
	rhostsChoices  = []choice{{"yes", "yes"}, {"no", "no"}, {"shosts-only", "shosts-only"}}
	gatewayChoices = []choice{{"clientspecified", "clientspecified"}, {"yes", "yes"}, {"no", "no"}}
)

// clearedByNone are keywords whose global value none means that nothing is set, in any case of letters.
var clearedByNone = []string{
	"pidfile", "xauthlocation", "banner", "trustedusercakeys", "revokedkeys", "securitykeyprovider",
	"authorizedprincipalsfile", "forcecommand", "chrootdirectory", "hostkeyagent", "persourcepenaltyexemptlist",
}

// defaults are the values that apply when nothing is configured.
func (r Release) defaults() map[string][]string {
	d := map[string][]string{}
	for _, line := range strings.Split(strings.TrimSpace(defaultLines), "\n") {
		name, value, _ := strings.Cut(line, " ")
		d[name] = append(d[name], value)
	}
	d["gssapikexalgorithms"] = []string{defaultGSSKex}
	d["ipqos"] = []string{"lowdelay throughput"}
	if r.deprecatesTOS() {
		d["ipqos"] = []string{"ef cs1"}
	}
	if r.modern() {
		for name, v := range map[string]string{
			"pamservicename": "sshd", "refuseconnection": "no", "sshdsessionpath": "/usr/lib/openssh/sshd-session",
			"sshdauthpath": "/usr/lib/openssh/sshd-auth", "persourcepenaltyexemptlist": "none", "channeltimeout": "none",
		} {
			d[name] = []string{v}
		}
	}
	return d
}

const defaultLines = `
addressfamily any
usepam no
logingracetime 120
x11displayoffset 10
maxauthtries 6
maxsessions 10
clientaliveinterval 0
clientalivecountmax 3
requiredrsasize 1024
streamlocalbindmask 0177
unusedconnectiontimeout none
permitrootlogin without-password
ignorerhosts yes
ignoreuserknownhosts no
hostbasedauthentication no
hostbasedusesnamefrompacketonly no
pubkeyauthentication yes
kerberosauthentication no
kerberosorlocalpasswd yes
kerberosticketcleanup yes
gssapiauthentication no
gssapicleanupcredentials yes
gssapikeyexchange no
gssapistrictacceptorcheck yes
gssapistorecredentialsonrekey no
passwordauthentication yes
kbdinteractiveauthentication yes
printmotd yes
printlastlog yes
x11forwarding no
x11uselocalhost yes
permittty yes
permituserrc yes
strictmodes yes
tcpkeepalive yes
permitemptypasswords no
compression yes
gatewayports no
usedns no
allowtcpforwarding yes
allowagentforwarding yes
disableforwarding no
allowstreamlocalforwarding yes
streamlocalbindunlink no
fingerprinthash SHA256
exposeauthinfo no
debianbanner yes
pidfile /run/sshd.pid
modulifile /etc/ssh/moduli
xauthlocation /usr/bin/xauth
banner none
forcecommand none
chrootdirectory none
trustedusercakeys none
revokedkeys none
securitykeyprovider internal
authorizedprincipalsfile none
versionaddendum none
authorizedkeyscommand none
authorizedkeyscommanduser none
authorizedprincipalscommand none
authorizedprincipalscommanduser none
hostkeyagent none
loglevel INFO
syslogfacility AUTH
authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2
hostkey /etc/ssh/ssh_host_rsa_key
hostkey /etc/ssh/ssh_host_ecdsa_key
hostkey /etc/ssh/ssh_host_ed25519_key
authenticationmethods any
maxstartups 10:30:100
persourcemaxstartups none
persourcenetblocksize 32:128
permittunnel no
permitopen any
permitlisten any
permituserenvironment no
pubkeyauthoptions none
`
