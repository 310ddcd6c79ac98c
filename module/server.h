/* The server's module API, declared here because no registry ships redismodule.h, and bound by name at load.
 *
 * Required functions exist on Redis 7.0, 8.2 and Valkey 8.1, 9.1; optional ones are NULL where the server lacks
 * them. Names and signatures are the servers' public API. */
#ifndef GEARS_SERVER_H
#define GEARS_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct RedisModuleCtx RedisModuleCtx;
typedef struct RedisModuleString RedisModuleString;
typedef struct RedisModuleKey RedisModuleKey;
typedef struct RedisModuleCommand RedisModuleCommand;
typedef struct RedisModuleScanCursor RedisModuleScanCursor;
typedef struct RedisModuleBlockedClient RedisModuleBlockedClient;
typedef struct RedisModuleUser RedisModuleUser;
typedef struct RedisModuleInfoCtx RedisModuleInfoCtx;
typedef struct RedisModuleType RedisModuleType;
typedef struct RedisModuleIO RedisModuleIO;
typedef struct RedisModuleCallReply RedisModuleCallReply;
typedef struct RedisModuleServerInfoData RedisModuleServerInfoData;
typedef uint64_t RedisModuleTimerID;

typedef int (*RedisModuleCmdFunc)(RedisModuleCtx *, RedisModuleString **, int);
typedef void (*RedisModuleScanCB)(RedisModuleCtx *, RedisModuleString *, RedisModuleKey *, void *);
typedef void (*RedisModuleForkDoneHandler)(int, int, void *);
typedef void (*RedisModuleScanKeyCB)(RedisModuleKey *, RedisModuleString *, RedisModuleString *, void *);
typedef void (*RedisModuleInfoFunc)(RedisModuleInfoCtx *, int);
typedef void (*RedisModuleTimerProc)(RedisModuleCtx *, void *);
typedef void (*RedisModuleClusterMessageReceiver)(RedisModuleCtx *, const char *, uint8_t, const unsigned char *,
                                                  uint32_t);
typedef struct RedisModuleStreamID {
    uint64_t ms;
    uint64_t seq;
} RedisModuleStreamID;

typedef struct RedisModuleEvent {
    uint64_t id;
    uint64_t dataver;
} RedisModuleEvent;
typedef void (*RedisModuleEventCallback)(RedisModuleCtx *, RedisModuleEvent, uint64_t, void *);

/* Version 5 of the data type's methods; a server takes the fields of the version that it is told. */
typedef struct RedisModuleTypeMethods {
    uint64_t version;
    void *(*rdb_load)(RedisModuleIO *, int);
    void (*rdb_save)(RedisModuleIO *, void *);
    void (*aof_rewrite)(RedisModuleIO *, RedisModuleString *, void *);
    size_t (*mem_usage)(const void *);
    void (*digest)(void *, void *);
    void (*free)(void *);
    int (*aux_load)(RedisModuleIO *, int, int);
    void (*aux_save)(RedisModuleIO *, int);
    int aux_save_triggers;
    void (*unused[8])(void); /* free_effort, unlink, copy, defrag, and the four methods again with database and key */
    void (*aux_save2)(RedisModuleIO *, int); /* of 5: writes nothing at all if it saves nothing */
} RedisModuleTypeMethods;

typedef struct RedisModuleFlushInfoV1 {
    uint64_t version;
    int32_t sync;
    int32_t dbnum; /* -1: all */
} RedisModuleFlushInfoV1;

typedef struct RedisModuleSwapDbInfoV1 {
    uint64_t version;
    int32_t dbnum_first, dbnum_second;
} RedisModuleSwapDbInfoV1;

typedef struct RedisModuleClientInfoV1 {
    uint64_t version;
    uint64_t flags;
    uint64_t id;
    char addr[46];
    uint16_t port;
    uint16_t db;
} RedisModuleClientInfoV1;

enum {
    REDISMODULE_OK = 0,
    REDISMODULE_ERR = 1,
    REDISMODULE_APIVER_1 = 1,
    REDISMODULE_POSTPONED_LEN = -1,
    REDISMODULE_READ = 1 << 0,
    REDISMODULE_OPEN_KEY_NOTOUCH = 1 << 16,
    REDISMODULE_KEYTYPE_EMPTY = 0,
    REDISMODULE_KEYTYPE_STRING = 1,
    REDISMODULE_KEYTYPE_LIST = 2,
    REDISMODULE_KEYTYPE_HASH = 3,
    REDISMODULE_KEYTYPE_SET = 4,
    REDISMODULE_KEYTYPE_ZSET = 5,
    REDISMODULE_KEYTYPE_STREAM = 7,
    REDISMODULE_HASH_NONE = 0,
    REDISMODULE_STREAM_ITERATOR_REVERSE = 1 << 1,
    REDISMODULE_CMD_KEY_ACCESS = 1 << 4,
    REDISMODULE_OPTIONS_HANDLE_IO_ERRORS = 1 << 0,
    REDISMODULE_CTX_FLAGS_LUA = 1 << 0,
    REDISMODULE_CTX_FLAGS_MULTI = 1 << 1,
    REDISMODULE_CTX_FLAGS_SLAVE = 1 << 3,
    REDISMODULE_CTX_FLAGS_CLUSTER = 1 << 5,
    REDISMODULE_CTX_FLAGS_REPLICATED = 1 << 12,
    REDISMODULE_CTX_FLAGS_LOADING = 1 << 13,
    REDISMODULE_CTX_FLAGS_REPLICA_IS_STALE = 1 << 14,
    REDISMODULE_CTX_FLAGS_REPLICA_IS_CONNECTING = 1 << 15,
    REDISMODULE_CTX_FLAGS_REPLICA_IS_TRANSFERRING = 1 << 16,
    REDISMODULE_CTX_FLAGS_ACTIVE_CHILD = 1 << 18,
    REDISMODULE_CTX_FLAGS_DENY_BLOCKING = 1 << 21,
    REDISMODULE_CTX_FLAGS_ASYNC_LOADING = 1 << 23,
    REDISMODULE_OPTIONS_HANDLE_ATOMIC_SLOT_MIGRATION = 1 << 5, /* Valkey's alone */
    REDISMODULE_EVENT_REPLICATION_ROLE_CHANGED = 0,
    REDISMODULE_EVENT_FLUSHDB = 2,
    REDISMODULE_EVENT_LOADING = 3,
    REDISMODULE_EVENT_CLIENT_CHANGE = 4,
    REDISMODULE_EVENT_SHUTDOWN = 5,
    REDISMODULE_EVENT_CRON_LOOP = 8,
    REDISMODULE_EVENT_SWAPDB = 11,
    REDISMODULE_EVENT_REPL_ASYNC_LOAD = 14,
    REDISMODULE_EVENT_ATOMIC_SLOT_MIGRATION = 19, /* Valkey's alone */
    REDISMODULE_SUBEVENT_FLUSHDB_START = 0,
    REDISMODULE_SUBEVENT_REPL_ASYNC_LOAD_COMPLETED = 2,
    REDISMODULE_SUBEVENT_LOADING_REPL_START = 2,
    REDISMODULE_SUBEVENT_CLIENT_CHANGE_DISCONNECTED = 1,
    REDISMODULE_AUX_BEFORE_RDB = 1,
    REDISMODULE_REPLY_STRING = 0,
    REDISMODULE_REPLY_ERROR = 1,
    REDISMODULE_REPLY_INTEGER = 2,
    REDISMODULE_REPLY_ARRAY = 3,
    REDISMODULE_REPLY_NULL = 4,
    REDISMODULE_REPLY_MAP = 5,
    REDISMODULE_REPLY_SET = 6,
    REDISMODULE_REPLY_BOOL = 7,
    REDISMODULE_REPLY_DOUBLE = 8,
    REDISMODULE_REPLY_BIG_NUMBER = 9,
    REDISMODULE_REPLY_VERBATIM_STRING = 10,
};

/* X(return type, name, parameters): functions that every supported server has. */
#define GEARS_SERVER_FUNCTIONS(X)                                                                                      \
    X(int, CreateCommand, (RedisModuleCtx *, const char *, RedisModuleCmdFunc, const char *, int, int, int))           \
    X(RedisModuleCommand *, GetCommand, (RedisModuleCtx *, const char *))                                              \
    X(void, SetModuleAttribs, (RedisModuleCtx *, const char *, int, int))                                              \
    X(void, SetModuleOptions, (RedisModuleCtx *, int))                                                                 \
    X(RedisModuleType *, CreateDataType, (RedisModuleCtx *, const char *, int, RedisModuleTypeMethods *))              \
    X(int, SubscribeToServerEvent, (RedisModuleCtx *, RedisModuleEvent, RedisModuleEventCallback))                     \
    X(int, RegisterInfoFunc, (RedisModuleCtx *, RedisModuleInfoFunc))                                                  \
    X(int, InfoAddSection, (RedisModuleInfoCtx *, const char *))                                                       \
    X(int, InfoAddFieldULongLong, (RedisModuleInfoCtx *, const char *, unsigned long long))                            \
    X(int, InfoAddFieldCString, (RedisModuleInfoCtx *, const char *, const char *))                                    \
    X(void, Log, (RedisModuleCtx *, const char *, const char *, ...))                                                  \
    X(int, WrongArity, (RedisModuleCtx *))                                                                             \
    X(int, ReplyWithError, (RedisModuleCtx *, const char *))                                                           \
    X(int, ReplyWithLongLong, (RedisModuleCtx *, long long))                                                           \
    X(int, ReplyWithSimpleString, (RedisModuleCtx *, const char *))                                                    \
    X(int, ReplyWithMap, (RedisModuleCtx *, long))                                                                     \
    X(int, ACLCheckCommandPermissions, (RedisModuleUser *, RedisModuleString **, int))                                 \
    X(int, GetClientInfoById, (void *, uint64_t))                                                                      \
    X(int, ReplyWithArray, (RedisModuleCtx *, long))                                                                   \
    X(void, ReplySetArrayLength, (RedisModuleCtx *, long))                                                             \
    X(int, ReplyWithStringBuffer, (RedisModuleCtx *, const char *, size_t))                                            \
    X(const char *, StringPtrLen, (const RedisModuleString *, size_t *))                                               \
    X(int, StringToLongLong, (const RedisModuleString *, long long *))                                                 \
    X(RedisModuleString *, CreateString, (RedisModuleCtx *, const char *, size_t))                                     \
    X(RedisModuleString *, HoldString, (RedisModuleCtx *, RedisModuleString *))                                        \
    X(void, FreeString, (RedisModuleCtx *, RedisModuleString *))                                                       \
    X(unsigned long long, GetClientId, (RedisModuleCtx *))                                                             \
    X(RedisModuleString *, GetCurrentUserName, (RedisModuleCtx *))                                                     \
    X(RedisModuleUser *, GetModuleUserFromUserName, (RedisModuleString *))                                             \
    X(int, FreeModuleUser, (RedisModuleUser *))                                                                        \
    X(int, ACLCheckKeyPermissions, (RedisModuleUser *, RedisModuleString *, int))                                      \
    X(int, GetContextFlags, (RedisModuleCtx *))                                                                        \
    X(int, GetSelectedDb, (RedisModuleCtx *))                                                                          \
    X(int, SelectDb, (RedisModuleCtx *, int))                                                                          \
    X(unsigned long long, DbSize, (RedisModuleCtx *))                                                                  \
    X(RedisModuleBlockedClient *, BlockClient,                                                                         \
      (RedisModuleCtx *, RedisModuleCmdFunc, RedisModuleCmdFunc, void (*)(RedisModuleCtx *, void *), long long))       \
    X(int, UnblockClient, (RedisModuleBlockedClient *, void *))                                                        \
    X(RedisModuleCtx *, GetThreadSafeContext, (RedisModuleBlockedClient *))                                            \
    X(void, FreeThreadSafeContext, (RedisModuleCtx *))                                                                 \
    X(int, ThreadSafeContextTryLock, (RedisModuleCtx *))                                                               \
    X(void, ThreadSafeContextUnlock, (RedisModuleCtx *))                                                               \
    X(RedisModuleScanCursor *, ScanCursorCreate, (void))                                                               \
    X(void, ScanCursorDestroy, (RedisModuleScanCursor *))                                                              \
    X(int, Scan, (RedisModuleCtx *, RedisModuleScanCursor *, RedisModuleScanCB, void *))                               \
    X(RedisModuleKey *, OpenKey, (RedisModuleCtx *, RedisModuleString *, int))                                         \
    X(void, CloseKey, (RedisModuleKey *))                                                                              \
    X(int, KeyType, (RedisModuleKey *))                                                                                \
    X(long long, GetAbsExpire, (RedisModuleKey *))                                                                     \
    X(int, Fork, (RedisModuleForkDoneHandler, void *))                                                                 \
    X(void, SendChildHeartbeat, (double))                                                                              \
    X(int, ExitFromChild, (int))                                                                                       \
    X(int, KillForkChild, (int))                                                                                       \
    X(size_t, ValueLength, (RedisModuleKey *))                                                                         \
    X(int, ScanKey, (RedisModuleKey *, RedisModuleScanCursor *, RedisModuleScanKeyCB, void *))                         \
    X(RedisModuleString *, ListGet, (RedisModuleKey *, long))                                                          \
    X(int, StreamIteratorStart, (RedisModuleKey *, int, RedisModuleStreamID *, RedisModuleStreamID *))                 \
    X(int, StreamIteratorNextID, (RedisModuleKey *, RedisModuleStreamID *, long *))                                    \
    X(int, StreamIteratorNextField, (RedisModuleKey *, RedisModuleString **, RedisModuleString **))                    \
    X(int, StreamIteratorStop, (RedisModuleKey *))                                                                     \
    X(int, HashGet, (RedisModuleKey *, int, ...))                                                                      \
    X(RedisModuleCallReply *, Call, (RedisModuleCtx *, const char *, const char *, ...))                               \
    X(int, CallReplyType, (RedisModuleCallReply *))                                                                    \
    X(long long, CallReplyInteger, (RedisModuleCallReply *))                                                           \
    X(double, CallReplyDouble, (RedisModuleCallReply *))                                                               \
    X(int, CallReplyBool, (RedisModuleCallReply *))                                                                    \
    X(const char *, CallReplyBigNumber, (RedisModuleCallReply *, size_t *))                                            \
    X(const char *, CallReplyVerbatim, (RedisModuleCallReply *, size_t *, const char **))                              \
    X(const char *, CallReplyStringPtr, (RedisModuleCallReply *, size_t *))                                            \
    X(size_t, CallReplyLength, (RedisModuleCallReply *))                                                               \
    X(RedisModuleCallReply *, CallReplyArrayElement, (RedisModuleCallReply *, size_t))                                 \
    X(RedisModuleCallReply *, CallReplySetElement, (RedisModuleCallReply *, size_t))                                   \
    X(int, CallReplyMapElement, (RedisModuleCallReply *, size_t, RedisModuleCallReply **, RedisModuleCallReply **))    \
    X(void, FreeCallReply, (RedisModuleCallReply *))                                                                   \
    X(void, SetContextUser, (RedisModuleCtx *, const RedisModuleUser *))                                               \
    X(RedisModuleServerInfoData *, GetServerInfo, (RedisModuleCtx *, const char *))                                    \
    X(void, FreeServerInfo, (RedisModuleCtx *, RedisModuleServerInfoData *))                                           \
    X(const char *, ServerInfoGetFieldC, (RedisModuleServerInfoData *, const char *))                                  \
    X(const char *, GetMyClusterID, (void))                                                                            \
    X(int, Replicate, (RedisModuleCtx *, const char *, const char *, ...))                                             \
    X(int, ReplicateVerbatim, (RedisModuleCtx *))                                                                      \
    X(void, SaveUnsigned, (RedisModuleIO *, uint64_t))                                                                 \
    X(uint64_t, LoadUnsigned, (RedisModuleIO *))                                                                       \
    X(void, SaveStringBuffer, (RedisModuleIO *, const char *, size_t))                                                 \
    X(char *, LoadStringBuffer, (RedisModuleIO *, size_t *))                                                           \
    X(int, IsIOError, (RedisModuleIO *))                                                                               \
    X(void, LogIOError, (RedisModuleIO *, const char *, const char *, ...))                                            \
    X(void, Free, (void *))                                                                                            \
    X(RedisModuleTimerID, CreateTimer, (RedisModuleCtx *, long long, RedisModuleTimerProc, void *))                    \
    X(void, RegisterClusterMessageReceiver, (RedisModuleCtx *, uint8_t, RedisModuleClusterMessageReceiver))            \
    X(int, SendClusterMessage, (RedisModuleCtx *, const char *, uint8_t, const char *, uint32_t))

/* Newer functions, NULL where absent: test before use. */
#define GEARS_SERVER_OPTIONAL_FUNCTIONS(X)                                                                             \
    X(int, GetTypeMethodVersion, (void))                                                                               \
    X(int, ACLCheckPermissions, (RedisModuleUser *, RedisModuleString **, int, int, int *))                            \
    X(int, AddACLCategory, (RedisModuleCtx *, const char *))                                                           \
    X(unsigned int, ClusterKeySlot, (RedisModuleString *))                                                             \
    X(int, ClusterCanAccessKeysInSlot, (int))                                                                          \
    X(RedisModuleString *, GetModuleUserACLString, (RedisModuleUser *))                                                \
    X(int, SetCommandACLCategories, (RedisModuleCommand *, const char *))

#define GEARS_DECLARE(type, name, parameters) extern type(*RedisModule_##name) parameters;
GEARS_SERVER_FUNCTIONS(GEARS_DECLARE)
GEARS_SERVER_OPTIONAL_FUNCTIONS(GEARS_DECLARE)
#undef GEARS_DECLARE

/* Bind every function above. Returns the name of the first required one that is missing, or NULL.
 * Runs on: main thread, once, first thing in OnLoad. */
const char *gears_server_bind(RedisModuleCtx *ctx);

#endif
