"""What columns are called: names, words in several languages, and layouts known by name."""

ADDRESS = "address"
FULL_NAME = "fullName"
PASSWORD = "password"  # noqa: S105  the name of a column

ALIASES: dict[str, tuple[str, ...]] = {
    target: tuple(names.split())
    for target, names in {
        ADDRESS: "email email_address e_mail from_email sender_email mailbox address account "
        "email_account",
        "smtpEmailAddress": "smtp_email smtp_email_address",
        "imapEmailAddress": "imap_email imap_email_address",
        "fromFirstName": "first_name firstname first from_first_name sender_first_name",
        "fromLastName": "last_name lastname last surname from_last_name sender_last_name",
        FULL_NAME: "from_name sender_name display_name name full_name smtp_from_name",
        "emailServiceProvider": "provider preset esp email_provider email_service_provider "
        "provider_type provider_code type inbox_type",
        PASSWORD: "password pass app_password app_pass",
        "smtpUserName": "smtp_username smtp_user smtp_user_name smtp_login user_name username "
        "login",
        "smtpPassword": "smtp_password smtp_pass smtp_app_password",
        "smtpHost": "smtp_host smtp_server smtp_hostname outgoing_server outgoing_host smtp",
        "smtpPort": "smtp_port outgoing_port",
        "smtpEncryption": "smtp_encryption smtp_security smtp_ssl smtp_secure smtp_tls "
        "smtp_use_tls smtp_port_type security encryption",
        "imapUserName": "imap_username imap_user imap_user_name imap_login",
        "imapPassword": "imap_password imap_pass imap_app_password",
        "imapHost": "imap_host imap_server imap_hostname incoming_server incoming_host imap",
        "imapPort": "imap_port incoming_port",
        "imapEncryption": "imap_encryption imap_security imap_ssl imap_secure imap_tls "
        "imap_use_tls imap_port_type",
    }.items()
}
"""What a column may be called, per target. Only letters and digits count, in any case."""

IGNORED: tuple[str, ...] = (
    "daily_limit",
    "max_email_per_day",
    "warmup_*",
    "total_warmup_per_day",
    "daily_rampup",
    "reply_rate_percentage",
    "custom_tracking_url",
    "tracking_domain",
    "bcc",
    "signature",
    "footer",
    "different_reply_to_address",
    "status",
    "created_date",
    "domain",
    "sending_wait_time_*",
    "allowed_values",
    "problem",
    "fix",
    "original_row",
    "original_sheet",
)
"""Known columns that are not used; `*` matches any ending."""

LAYOUTS: dict[str, tuple[str, ...]] = {
    layout: tuple(line.split(","))
    for layout, line in {
        "Saleshandy API": "emailServiceProvider,fromFirstName,fromLastName,smtpEmailAddress,"
        "smtpUserName,smtpPassword,smtpHost,smtpPort,smtpEncryption,imapEmailAddress,imapUserName,"
        "imapPassword,imapHost,imapPort,imapEncryption",
        "Instantly": "Email,First Name,Last Name,IMAP Username,IMAP Password,IMAP Host,IMAP Port,"
        "SMTP Username,SMTP Password,SMTP Host,SMTP Port",
        "Smartlead": "from_name,from_email,user_name,password,smtp_host,smtp_port,imap_host,"
        "imap_port",
        "EmailBison": "Name,Email,Password,IMAP Server,IMAP Port,SMTP Server,SMTP Port,"
        "SMTP Secure,IMAP Secure",
        "Woodpecker": "SMTP email,SMTP login,SMTP password,SMTP server,SMTP port,SMTP from name,"
        "IMAP email,IMAP password,IMAP server,IMAP port",
        "SalesBlink": "from_email,password,smtp_host,smtp_port,from_name,user_name,imap_host,"
        "imap_port,imap_user_name,imap_password",
        "BrandJet": "email,password,smtpHost,smtpPort,smtpTls,imapHost,imapPort,imapTls,fromName",
        "SendKit": "email,password,smtphost,imaphost,smtpport,imapport,smtpsecure,imapsecure,"
        "displayname",
        "Snov.io": "From email,From name,SMTP host",
        "warm-up tool": "from_name,from_email,smtp_host,smtp_port,smtp_username,smtp_password,"
        "imap_host,imap_port,imap_username,imap_password",
        "mailbox seller": "Email,App Password,SMTP,IMAP",
        "address and password": "email,password",
    }.items()
}
"""Which tool writes which headers. The name is for people; reading does not depend on it."""

OPTIONAL_HEADERS: dict[str, tuple[str, ...]] = {
    layout: tuple(line.split(","))
    for layout, line in {
        "Instantly": "Daily Limit,Warmup Enabled,Warmup Limit,Warmup Increment",
        "Smartlead": "max_email_per_day,custom_tracking_url,warmup_enabled,total_warmup_per_day,"
        "daily_rampup,reply_rate_percentage,bcc,signature,different_reply_to_address,"
        "imap_user_name,imap_password",
        "EmailBison": "Daily Limit",
    }.items()
}
"""What else these write where it is wanted."""

WORDS: dict[str, str] = {
    "smtp": "smtp outgoing outbound sending send ausgang ausgangs postausgang postausgangs "
    "ausgehend ausgehender sortant sortante envoi saliente salida saida uscita invio uitgaand "
    "uitgaande versand исходящий исходящей wychodzący wychodząca wychodzącej giden utgående "
    "udgående odchozí 发件 发送 送信",
    "imap": "imap incoming inbound receiving receive eingang eingangs posteingang posteingangs "
    "eingehend eingehender entrant entrante reception entrada entrata recepcion arrivo ricezione "
    "inkomend inkomende empfang входящий входящей przychodzący przychodząca przychodzącej gelen "
    "inkommande indgående příchozí 收件 接收 受信",
    "host": "host hostname server servername srv serveur servidor mailserver mailhost hote "
    "serwer serwera sunucu sunucusu сервер värd 服务器 服务器地址 主机 サーバー サーバー名 ホスト "
    "ホスト名 サーバ 伺服器 서버",
    "port": "port portnumber portnummer puerto porta poort порт portu anschluss 端口 端口号 "
    "連接埠 ポート ポート番号 포트",
    "encryption": "ssl tls starttls encryption encrypted security secure secured "
    "verschlusselung verschluesselung sicherheit chiffrement securite cifrado seguridad "
    "criptografia seguranca crittografia cifratura sicurezza versleuteling beveiliging "
    "szyfrowanie шифрование şifreleme kryptering šifrování 加密 加密方式 暗号化 暗号化方式",
    "user": "user username userid login signin benutzer benutzername anmeldename nutzername "
    "utilisateur identifiant usuario utente gebruiker gebruikersnaam użytkownik "
    "логин пользователь kullanıcı användarnamn brukernavn brugernavn uživatel 用户名 用户 "  # noqa: RUF001  it is Turkish
    "ユーザー名 ユーザー",
    "password": "password passwords pass passwd pwd pw passcode passphrase passwort kennwort "
    "motdepasse contrasena clave senha wachtwoord paswoord hasło пароль parola parolası şifre "  # noqa: RUF001  it is Turkish
    "şifresi lösenord passord adgangskode heslo 密码 授权码 口令 密碼 パスワード 비밀번호",
    "address": "email emails mail mailbox emailaddress mailaddress mailadresse emailadresse "
    "emailadres mailadres courriel courrier correo correio posta poczta poczty skrzynka postfach "
    "adressemail absenderadresse почта почты почтовый емайл eposta epost emailova postadress 邮箱 "
    "邮件 电子邮件 电子邮箱 電子郵件 信箱 メール メールアドレス 이메일",
    "place": "address adresse adress adres adresa indirizzo direccion endereco адрес adresi 地址 "
    "アドレス",
    "first": "first firstname given givenname forename vorname prenom voornaam imię имя "
    "förnamn fornavn jméno ad adı 名",  # noqa: RUF001  it is Turkish
    "last": "last lastname family familyname surname nachname familienname zuname apellido "
    "apellidos sobrenome cognome achternaam nazwisko фамилия soyad efternamn etternavn "
    "efternavn příjmení 姓",
    "name": "name names fullname displayname anzeigename nombre nome naam nom absendername 姓名 "
    "名称 氏名 名前 表示名 表示 이름",
    "provider": "provider esp anbieter fournisseur proveedor provedor fornitore aanbieder",
}
"""Words of columns by what they mean, in lower case. English, German, French,
Spanish, Portuguese, Italian and Dutch; of Polish, Russian, Turkish, Swedish, Norwegian, Danish,
Czech, Chinese and Japanese the most frequent names in such files."""

PHRASES: dict[str, str] = {
    phrase: meaning
    for meaning, phrases in {
        "email": "e mail, e post, e posta, email id, mail id, user principal name, "
        "correo electronico, posta elettronica",
        "smtp host": "out server, smtp url",
        "smtp port": "out port",
        "imap host": "in server, imap url",
        "imap port": "in port",
        "password": "mot de passe, palavra passe, pass word, auth pass, auth password",
        "login": "log in",
        "signin": "sign in",
        "username": "user name, user id, nom d utilisateur, nom utilisateur, nombre de usuario, "
        "nome de usuario, nome do usuario, nome utente, auth user",
        "host": "host name, server name",
        "starttls": "start tls",
        "lastname": "nom de famille",
        "incoming": "posta in arrivo, correo entrante",
        "outgoing": "posta in uscita, correo saliente",
        "": "email service",
        "provider": "service provider",
        "encryption": "connection type, security type, encryption type, port type",
    }.items()
    for phrase in phrases.split(", ")
}
"""Several words that mean one."""

FILLERS = frozenset(
    """
    the your my our of for a an de del der des die das den dem di da do du d la le les el l il lo to
    with on in and e o y und et en s if own relay required optional pflichtfeld obligatoire
    obligatorio requerido app application specific google gmail workspace microsoft outlook yahoo
    zoho account accounts konto compte cuenta conta sender from absender number no nr full complete
    vollstandiger complet completo complete volledige use value field eg ex method hostinger
    credential credentials node attributes fields main primary new initial temporary temp generated
    current display digit digits character characters letter letters anwendung anwendungs applicatie
    aplicacion applicazione per le приложения aplikacji uygulama アプリ 应用 专用 账号 アカウント
    электронной elektronicznej pocztowa ящик
    """.split()  # noqa: SIM905  a hundred quotes would hide the words
)
"""Words that change nothing next to others."""

OTHER_THINGS = frozenset(
    """
    recovery alternate alternative alternativ secondary backup hash function forward forwarding
    forwards reply bcc cc change changed reset expires expiry status state phone personal home
    private proxy dns ns nameserver nameservers web website url limit limits daily warmup signature
    tracking old previous hint created updated modified date time count sent verified error errors
    failure success enabled connected active tested check note notes comment comments ssh ftp http
    https pop pop3 passport city country zip street postal billing company job title organization
    organisation domain rate quota day age strength policy auth authentication oauth 2fa mfa totp
    alias different
    """.split()  # noqa: SIM905  a hundred quotes would hide the words
)
"""Words that make a column something else."""
