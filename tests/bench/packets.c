/*
 * packets PORT USER PASSWORD FILE POS: the limit that a reader of the binlog works against.
 *
 * Asks for the binlog as capture does and takes the packets off libmariadb's connection up to the
 * end of the binlog, looking at nothing but their length. What it costs, nobody who reads through
 * this library can do without.
 */
#include <errmsg.h>
#include <mysql.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

unsigned long mysql_net_read_packet(MYSQL *mysql);

static int
fail(MYSQL *mysql, const char *what)
{
    (void)fprintf(stderr, "packets: %s: %s\n", what, mysql_error(mysql));
    return 1;
}

int
main(int argc, char **argv)
{
    static const char *const settings[] = {"SET @master_binlog_checksum=@@global.binlog_checksum",
                                           "SET @mariadb_slave_capability=4"};
    MYSQL *mysql = mysql_init(NULL);
    /* position, flags (1: end at the end), server id, file */
    unsigned char command[10 + 512] = {0};
    uint32_t position, server_id = 5004;
    unsigned long n, packets = 0, bytes = 0;

    if (argc != 6 || strlen(argv[4]) > 512) {
        (void)fprintf(stderr, "usage: packets PORT USER PASSWORD FILE POS\n");
        return 2;
    }
    if (!mysql_real_connect(mysql, "127.0.0.1", argv[2], argv[3], NULL, (unsigned)atoi(argv[1]),
                            NULL, 0))
        return fail(mysql, "connecting");
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        if (mysql_query(mysql, settings[i]))
            return fail(mysql, settings[i]);
    position = (uint32_t)strtoul(argv[5], NULL, 10);
    memcpy(command, &position, 4); /* little-endian machines only */
    command[4] = 1;
    memcpy(command + 6, &server_id, 4);
    memcpy(command + 10, argv[4], strlen(argv[4]));
    if (mysql->methods->db_command(mysql, COM_BINLOG_DUMP, (const char *)command,
                                   10 + strlen(argv[4]), 1, NULL))
        return fail(mysql, "dump");
    for (;;) {
        n = mysql_net_read_packet(mysql);
        if (n == packet_error)
            return fail(mysql, "reading");
        if (n < 9 && mysql->net.read_pos[0] == 0xfe)
            break;
        if (packets++ == 0) {
            (void)printf("first\n");
            (void)fflush(stdout);
        }
        bytes += n - 1;
    }
    (void)printf("end %lu %lu\n", packets, bytes);
    (void)fflush(stdout);
    return pause(); /* until it was looked at what this took */
}
