/* Keys and a file that uses every kind of line, for the tests to take apart. */
#pragma once

#define PRIVATE "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk="
#define PSK     "FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE="
#define KEY_B   "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define KEY_C   "TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0="
#define KEY_D   "gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA="

static const char good[] = "[Interface]\n"
			   "PrivateKey = " PRIVATE "\n"
			   "ListenPort = 51820\n"
			   "Address = 10.77.0.1/24, fd77::1/64\n"
			   "# convoy: Offload = -tun-uso\n"
			   "PostUp = echo %i # up\n"
			   "\n"
			   "[Peer]\n"
			   "# friendly_name = Alice\n"
			   "PublicKey = " KEY_B "\n"
			   "PresharedKey = " PSK "\n"
			   "AllowedIPs = 10.77.0.2/32, fd77::2/128\n"
			   "Endpoint = [2001:db8::1]:51820 # home\n"
			   "PersistentKeepalive = 25\n"
			   "[Peer]\n"
			   "PublicKey = " KEY_C "\n"
			   "Endpoint = vpn.example.com:51820";
